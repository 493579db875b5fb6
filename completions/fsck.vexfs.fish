complete -c fsck.vexfs -s b -l superblock -d 'Block of the backup superblock to use instead of the primary' -r
complete -c fsck.vexfs -s B -l block-size -d 'Bytes per block, for -b' -r
complete -c fsck.vexfs -s C -l progress-fd -d 'Write progress to this file descriptor' -r
complete -c fsck.vexfs -s z -l undo-file -d 'Save what is overwritten in this file, so that it can be taken back' -r -F
complete -c fsck.vexfs -l repair-to -d 'Copy the device to this image file, and repair the copy' -r -F
complete -c fsck.vexfs -l data -d 'How much of the data is read' -r -f -a "none\t'Neither rows nor the files that describe them: structure of the filesystem only'
meta\t'What describes collections: ids, keys, checksums; and the images of indexes'
full\t'Every row of every collection and every block of every file; and whether indexes contradict themselves'"
complete -c fsck.vexfs -s E -l extended -d 'Extended options: journal_only, reindex=auto|never|all' -r
complete -c fsck.vexfs -s m -l memory -d 'Memory to stay within [default: 512M]' -r
complete -c fsck.vexfs -s p -s a -l preen -d 'Preen: do what is safe without asking; for use at boot'
complete -c fsck.vexfs -s y -l yes -d 'Answer every question with yes: repair all that can be repaired'
complete -c fsck.vexfs -s n -l check -d 'Check only: write nothing at all'
complete -c fsck.vexfs -s f -l force -d 'Check even if the filesystem is marked clean'
complete -c fsck.vexfs -s t -l timings -d 'Print how long each pass took; twice: and what it read'
complete -c fsck.vexfs -s r -d 'Accepted and ignored, as other checkers do'
complete -c fsck.vexfs -s q -l quiet -d 'Say nothing but problems'
complete -c fsck.vexfs -s v -l verbose -d 'Say more; may be given twice'
complete -c fsck.vexfs -l json -d 'Print the result as JSON'
complete -c fsck.vexfs -s h -l help -d 'Print help (see more with \'--help\')'
complete -c fsck.vexfs -s V -l version -d 'Print version'

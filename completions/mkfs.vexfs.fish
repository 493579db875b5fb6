complete -c mkfs.vexfs -s b -l block-size -d 'Bytes per block: a power of two from 4096 to 65536 [default: 4096]' -r
complete -c mkfs.vexfs -s i -l bytes-per-inode -d 'One inode for this many bytes' -r
complete -c mkfs.vexfs -s I -l inode-size -d 'Bytes per inode: a power of two, 256 or more, up to the block size' -r
complete -c mkfs.vexfs -s N -l inodes -d 'Number of inodes, instead of one for so many bytes' -r
complete -c mkfs.vexfs -s J -l journal -d 'Size of the journal, as size=N in MiB' -r
complete -c mkfs.vexfs -s L -l label -d 'Label: up to 64 bytes of UTF-8' -r
complete -c mkfs.vexfs -s U -l uuid -d 'UUID of the filesystem: a UUID, or \'random\' [default: random]' -r
complete -c mkfs.vexfs -s m -l reserved -d 'Percentage of the blocks kept free for repairs and compaction' -r
complete -c mkfs.vexfs -s D -l dimensions -d 'Dimensions of the default collection, 1 to 65536 [default: 768]' -r
complete -c mkfs.vexfs -l dtype -d 'Element type of the default collection [default: f32]' -r -f -a "f32\t''
f16\t''
bf16\t''
i8\t''
u8\t''
b1\t''"
complete -c mkfs.vexfs -l metric -d 'Metric of the default collection [default: l2, of b1 hamming]' -r -f -a "l2\t''
cosine\t''
ip\t''
hamming\t''"
complete -c mkfs.vexfs -l collection -d 'Name of the default collection [default: vectors]' -r
complete -c mkfs.vexfs -s E -l extended -d 'Extended options: offset=N, discard, nodiscard' -r
complete -c mkfs.vexfs -s O -l features -d 'Features to switch on, or with ^ off; \'list\' prints them' -r
complete -c mkfs.vexfs -s z -l undo-file -d 'Save what is overwritten in this file, so that it can be taken back' -r -F
complete -c mkfs.vexfs -s V -l vectors -d 'Reserve the vector zone and create the default collection'
complete -c mkfs.vexfs -s n -l dry-run -d 'Print the layout and write nothing'
complete -c mkfs.vexfs -s f -s F -l force -d 'Overwrite what is on the device; twice: even if it is busy'
complete -c mkfs.vexfs -s K -l no-discard -d 'Do not discard the blocks of the device'
complete -c mkfs.vexfs -s q -l quiet -d 'Say nothing but errors and warnings'
complete -c mkfs.vexfs -s v -l verbose -d 'Say more; may be given twice'
complete -c mkfs.vexfs -l json -d 'Print the result as JSON'
complete -c mkfs.vexfs -l version -d 'Print version'
complete -c mkfs.vexfs -s h -l help -d 'Print help (see more with \'--help\')'

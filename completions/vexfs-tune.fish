complete -c vexfs-tune -s d -l device -d 'Block device, image file, LABEL=… or UUID=… [env: VEXFS_DEVICE]' -r
complete -c vexfs-tune -l offset -d 'Byte of the device at which the filesystem begins' -r
complete -c vexfs-tune -s c -l collection -d 'Collection, by name or path [env: VEXFS_COLLECTION] [default: vectors]' -r
complete -c vexfs-tune -l grow -d 'Let the filesystem grow to SIZE, or to the size of its device' -r
complete -c vexfs-tune -s L -l label -d 'Give the filesystem this label' -r
complete -c vexfs-tune -s U -l uuid -d 'Give the filesystem this UUID; random makes one' -r
complete -c vexfs-tune -l delete-ids -d 'Delete the rows with these ids or keys: a text with one a line, or a .npy array' -r -F
complete -c vexfs-tune -l index -d 'add KIND, drop NAME, rebuild NAME, or extend NAME; may be given again' -r
complete -c vexfs-tune -l undo -d 'Take back what was done with -z FILE, and do nothing else' -r -F
complete -c vexfs-tune -l threads -d 'Threads that work at the same time [default: one per processor]' -r
complete -c vexfs-tune -l memory -d 'Memory for a build, at most [default: half of what is available]' -r
complete -c vexfs-tune -s l -l list -d 'List what the filesystem is, and its indexes'
complete -c vexfs-tune -l compact -d 'Reclaim the space of deleted rows, and build the indexes anew'
complete -c vexfs-tune -l defrag -d 'Write files and rows that lie in pieces anew in one'
complete -c vexfs-tune -l calibrate -d 'Measure anew which recall each effort of the indexes reaches'
complete -c vexfs-tune -s f -l force -d 'Take it back even if the device was changed since'
complete -c vexfs-tune -l simd -d 'Show which vector instructions this machine has, and which are used'
complete -c vexfs-tune -s n -l dry-run -d 'Say what would be done, and do nothing'
complete -c vexfs-tune -s q -l quiet -d 'Say nothing but errors and warnings'
complete -c vexfs-tune -s v -l verbose -d 'Say more; may be given twice'
complete -c vexfs-tune -l json -d 'Print the result as JSON'
complete -c vexfs-tune -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vexfs-tune -s V -l version -d 'Print version'
complete -c vexfs-tune -s c -l collection -x -a "(vexfs-tune --complete-names (commandline -opc)[2..] (string match -r -- '^(?:--[a-z-]+(?==)|-c)' (commandline -ct)) 2>/dev/null)"
complete -c vexfs-tune -a "(vexfs-tune --complete-names (commandline -opc)[2..] (string match -r -- '^(?:--[a-z-]+(?==)|-c)' (commandline -ct)) 2>/dev/null)"
complete -c vexfs-tune -l index -x -a "(vexfs-tune --complete-names (commandline -opc)[2..] (string match -r -- '^(?:--[a-z-]+(?==)|-c)' (commandline -ct)) 2>/dev/null)"

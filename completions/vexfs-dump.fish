complete -c vexfs-dump -s d -l device -d 'Block device, image file, LABEL=… or UUID=… [env: VEXFS_DEVICE]' -r
complete -c vexfs-dump -l offset -d 'Byte of the device at which the filesystem begins' -r
complete -c vexfs-dump -s c -l collection -d 'Collection, by name or path [env: VEXFS_COLLECTION] [default: vectors]' -r
complete -c vexfs-dump -s b -l superblock -d 'Block of the backup superblock to use instead of the primary' -r
complete -c vexfs-dump -s o -l output -d 'For export: file of vectors to write; for map: picture, .svg or .png' -r -F
complete -c vexfs-dump -l ids -d 'For export: file for the ids or keys of the rows, one to a line' -r -F
complete -c vexfs-dump -l payload -d 'For export: file for the payload of the rows, a JSON object to a line' -r -F
complete -c vexfs-dump -s R -l recursive -d 'For ls: list directories below PATH as well'
complete -c vexfs-dump -l scramble -d 'For image: replace names, keys and the label by others of the same length'
complete -c vexfs-dump -l prometheus -d 'For health: the text format of Prometheus, for a textfile collector'
complete -c vexfs-dump -s q -l quiet -d 'Say nothing but errors and warnings'
complete -c vexfs-dump -s v -l verbose -d 'Say more; may be given twice'
complete -c vexfs-dump -l json -d 'Print the result as JSON'
complete -c vexfs-dump -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vexfs-dump -s V -l version -d 'Print version'
complete -c vexfs-dump -s c -l collection -x -a "(vexfs-dump --complete-names (commandline -opc)[2..] (string match -r -- '^(?:--[a-z-]+(?==)|-c)' (commandline -ct)) 2>/dev/null)"
complete -c vexfs-dump -a "(vexfs-dump --complete-names (commandline -opc)[2..] (string match -r -- '^(?:--[a-z-]+(?==)|-c)' (commandline -ct)) 2>/dev/null)"

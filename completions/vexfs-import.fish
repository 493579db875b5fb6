complete -c vexfs-import -l format -d 'Format of the files [default: what they look like]' -r -f -a "npy\t''
npz\t''
hdf5\t''
parquet\t''
text\t''
jsonl\t''
csv\t''
fvecs\t''
bvecs\t''
ivecs\t''
fbin\t''
u8bin\t''
i8bin\t''
ibin\t''"
complete -c vexfs-import -s d -l device -d 'Block device, image file, LABEL=… or UUID=… [env: VEXFS_DEVICE]' -r
complete -c vexfs-import -l offset -d 'Byte of the device at which the filesystem begins' -r
complete -c vexfs-import -s c -l collection -d 'Collection, by name or path [env: VEXFS_COLLECTION] [default: vectors]' -r
complete -c vexfs-import -l ids -d 'Ids of the rows: a column of the FILEs, an array of integers, or a text' -r -F
complete -c vexfs-import -l keys -d 'String keys of the rows: a column of the FILEs, an array, or a text' -r -F
complete -c vexfs-import -l payload -d 'What is known of the rows besides: a JSON object a line' -r -F
complete -c vexfs-import -l mode -d 'What becomes of rows that have these ids or keys already [default: append]' -r -f -a "append\t'They are in the way'
upsert\t'They are replaced'
delete\t'They are deleted'"
complete -c vexfs-import -l step -d 'Bytes of rows in a step of --resume [default: 1G]' -r
complete -c vexfs-import -l model -d 'Model that made the vectors: NAME, or NAME@HASH of its weights' -r
complete -c vexfs-import -l dtype -d 'Element type of a collection that is created [default: that of the data]' -r -f -a "f32\t''
f16\t''
bf16\t''
i8\t''
u8\t''
b1\t''"
complete -c vexfs-import -l metric -d 'Metric of a collection that is created [default: l2, of b1 hamming]' -r -f -a "l2\t''
cosine\t''
ip\t''
hamming\t''"
complete -c vexfs-import -l index -d 'Build this index once the vectors are stored; may be given again' -r
complete -c vexfs-import -l file -d 'Copy the ordinary file SRC to the path DEST; may be given again' -r -F
complete -c vexfs-import -l threads -d 'Threads that work at the same time [default: one per processor]' -r
complete -c vexfs-import -l memory -d 'Memory to use, at most [default: 256M; for indexes half of what is available]' -r
complete -c vexfs-import -l resume -d 'Store in steps, and go on where an interrupted import was'
complete -c vexfs-import -l abandon -d 'Delete the rows of an import with --resume that was not finished'
complete -c vexfs-import -l normalize -d 'Scale each vector to length 1 before it is stored'
complete -c vexfs-import -s p -l parents -d 'Create the missing directories of DEST'
complete -c vexfs-import -s q -l quiet -d 'Say nothing but errors and warnings'
complete -c vexfs-import -s v -l verbose -d 'Say more; may be given twice'
complete -c vexfs-import -l json -d 'Print the result as JSON'
complete -c vexfs-import -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vexfs-import -s V -l version -d 'Print version'
complete -c vexfs-import -s c -l collection -x -a "(vexfs-import --complete-names (commandline -opc)[2..] (string match -r -- '^(?:--[a-z-]+(?==)|-c)' (commandline -ct)) 2>/dev/null)"
complete -c vexfs-import -a "(vexfs-import --complete-names (commandline -opc)[2..] (string match -r -- '^(?:--[a-z-]+(?==)|-c)' (commandline -ct)) 2>/dev/null)"

complete -c vexfs-bench -s d -l device -d 'Block device, image file, LABEL=… or UUID=… [env: VEXFS_DEVICE]' -r
complete -c vexfs-bench -l offset -d 'Byte of the device at which the filesystem begins' -r
complete -c vexfs-bench -s c -l collection -d 'For run: collection to make on the device [default: bench]' -r
complete -c vexfs-bench -l directory -d 'Directory of the image made without -d [default: that for temporary files]' -r -f -a "(__fish_complete_directories)"
complete -c vexfs-bench -l dataset -d 'For run: an HDF5 file of ann-benchmarks.com: train, test, neighbors' -r -F
complete -c vexfs-bench -l train -d 'For run: vectors to import [default: the standard workload]' -r -F
complete -c vexfs-bench -l test -d 'For run: queries' -r -F
complete -c vexfs-bench -l ground-truth -d 'For run: true neighbours of the queries, as row numbers' -r -F
complete -c vexfs-bench -l metric -d 'For run: metric of the collection [default: l2, of bits hamming]' -r -f -a "l2\t''
cosine\t''
ip\t''
hamming\t''"
complete -c vexfs-bench -l index -d 'For run: index to build and to search through; may be repeated' -r
complete -c vexfs-bench -s k -l k -d 'For run: number of neighbours' -r
complete -c vexfs-bench -l runs -d 'For run: counted runs of each measurement' -r
complete -c vexfs-bench -l warm-ups -d 'For run: runs before those, which are not counted' -r
complete -c vexfs-bench -l from -d 'For run: least recall of a search through an index' -r
complete -c vexfs-bench -l threads -d 'Threads that work at the same time [default: one per processor]' -r
complete -c vexfs-bench -l memory -d 'For run: memory that building an index may take [default: half of what is free]' -r
complete -c vexfs-bench -l plot -d 'For run and show: plot recall against queries per second' -r -F
complete -c vexfs-bench -l csv -d 'For run and show: print the searches as comma-separated values'
complete -c vexfs-bench -s q -l quiet -d 'Say nothing but errors and warnings'
complete -c vexfs-bench -s v -l verbose -d 'Say more; may be given twice'
complete -c vexfs-bench -l json -d 'Print the result as JSON'
complete -c vexfs-bench -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vexfs-bench -s V -l version -d 'Print version'

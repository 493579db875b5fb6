complete -c vexfs-query -l format -d 'Format of the queries [default: what they look like]' -r -f -a "npy\t''
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
complete -c vexfs-query -s d -l device -d 'Device to search; may be repeated [env: VEXFS_DEVICE]' -r
complete -c vexfs-query -l offset -d 'Byte of the device at which the filesystem begins' -r
complete -c vexfs-query -s c -l collection -d 'Collection; may be repeated [env: VEXFS_COLLECTION] [default: vectors]' -r
complete -c vexfs-query -s k -l k -d 'Number of neighbours for each query [default: 10, with --radius all]' -r
complete -c vexfs-query -l radius -d 'Find the vectors whose distance from the query is at most R' -r
complete -c vexfs-query -l vector -d 'One query, as numbers: "0.1,0.2,…"' -r
complete -c vexfs-query -l id -d 'One query: the stored vector with this id or key' -r
complete -c vexfs-query -l filter -d 'Find only vectors whose payload fulfils this, as in "year >= 2020"' -r
complete -c vexfs-query -l model -d 'Model that made the queries: NAME, or NAME@HASH of its weights' -r
complete -c vexfs-query -l index -d 'Index that answers: its name, a kind of index, or auto [default: auto]' -r
complete -c vexfs-query -l recall -d 'Recall that the index is to reach, 0 to 1' -r
complete -c vexfs-query -l ef -d 'Candidates that a graph (hnsw) keeps while it searches' -r
complete -c vexfs-query -l nprobe -d 'Inverted lists (ivf, ivf-pq) that are visited' -r
complete -c vexfs-query -l probes -d 'Buckets that hashing (lsh) visits in each table, on average' -r
complete -c vexfs-query -l rerank -d 'Candidates found by codes that are compared by their vectors' -r
complete -c vexfs-query -l threads -d 'Threads that work at the same time [default: one per processor]' -r
complete -c vexfs-query -l ground-truth -d 'True neighbours of the queries, to measure recall: an array of integers' -r -F
complete -c vexfs-query -s o -l output -d 'Form of the result [default: table]' -r -f -a "table\t'A table for people'
jsonl\t'A line of JSON per query; the same as --json'
csv\t'Comma-separated values: query, rank, id, distance'
npy\t'A NumPy array of ids, a row per query, -1 where there are fewer than K'"
complete -c vexfs-query -l payload -d 'Print the payload of each neighbour'
complete -c vexfs-query -l exact -d 'Compare each query with every vector'
complete -c vexfs-query -l stats -d 'Print figures of the search as a line of JSON to standard error'
complete -c vexfs-query -s q -l quiet -d 'Say nothing but errors and warnings'
complete -c vexfs-query -s v -l verbose -d 'Say more; may be given twice'
complete -c vexfs-query -l json -d 'Print the result as JSON'
complete -c vexfs-query -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vexfs-query -s V -l version -d 'Print version'
complete -c vexfs-query -s c -l collection -x -a "(vexfs-query --complete-names (commandline -opc)[2..] (string match -r -- '^(?:--[a-z-]+(?==)|-c)' (commandline -ct)) 2>/dev/null)"
complete -c vexfs-query -a "(vexfs-query --complete-names (commandline -opc)[2..] (string match -r -- '^(?:--[a-z-]+(?==)|-c)' (commandline -ct)) 2>/dev/null)"
complete -c vexfs-query -l index -x -a "(vexfs-query --complete-names (commandline -opc)[2..] (string match -r -- '^(?:--[a-z-]+(?==)|-c)' (commandline -ct)) 2>/dev/null)"

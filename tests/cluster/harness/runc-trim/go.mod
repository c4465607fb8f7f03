module foreshore.dev/cluster/runc-trim

go 1.26

module foreshore.dev/cluster/pause

go 1.26

module weir.example/fstest

go 1.24

package main

import (
	"io/fs"
	"os"
)

// root is the whole file system by absolute paths, as the rules' files are named.
type root struct{}

func (root) Open(name string) (fs.File, error) { return os.Open(name) }

func (root) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

// A reader of our log that shares no code with it: Go's own notes and tiled logs, as the checksum database uses them.
//
//	golog <directory of the log> <verifier key> <entry index> [<older checkpoint file>]
//
// It opens the checkpoint, authenticates every tile that it reads against the checkpoint, proves the entry of the
// bundle, and proves that the older checkpoint is a prefix. Exit status 0 means that all of it was accepted.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type tiles struct{ root string }

func (t tiles) Height() int { return height }

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles finds a tile under its C2SP path, which is Go's without the height.
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
		data, err := os.ReadFile(filepath.Join(t.root, path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func openCheckpoint(path string, verifier note.Verifier) (tlog.Tree, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(raw, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	hash, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: hash}, err
}

func entryAt(root string, tree tlog.Tree, index int64) ([]byte, error) {
	width := min(tree.N-index/256*256, 256)
	tile := tlog.Tile{H: height, L: -1, N: index / 256, W: int(width)}
	path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/data/", height), "tile/entries/", 1)
	bundle, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return nil, err
	}
	for position := index / 256 * 256; len(bundle) >= 2; position++ {
		length := int(binary.BigEndian.Uint16(bundle))
		if len(bundle) < 2+length {
			break
		}
		if position == index {
			return bundle[2 : 2+length], nil
		}
		bundle = bundle[2+length:]
	}
	return nil, errors.New("the bundle does not hold the entry")
}

func check(arguments []string) error {
	root := arguments[0]
	verifier, err := note.NewVerifier(arguments[1])
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(arguments[2], 10, 64)
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(filepath.Join(root, "checkpoint"), verifier)
	if err != nil {
		return err
	}
	reader := tlog.TileHashReader(tree, tiles{root})
	entry, err := entryAt(root, tree, index)
	if err != nil {
		return err
	}
	proof, err := tlog.ProveRecord(tree.N, index, reader)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
		return err
	}
	fmt.Printf("entry %s\n", base64.StdEncoding.EncodeToString(entry))
	for _, hash := range proof {
		fmt.Printf("proof %s\n", hash)
	}
	if len(arguments) < 4 {
		return nil
	}
	older, err := openCheckpoint(arguments[3], verifier)
	if err != nil {
		return err
	}
	prefix, err := tlog.ProveTree(tree.N, older.N, reader)
	if err != nil {
		return err
	}
	return tlog.CheckTree(prefix, tree.N, tree.Hash, older.N, older.Hash)
}

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: golog <directory> <verifier key> <entry index> [<older checkpoint file>]")
		os.Exit(2)
	}
	if err := check(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

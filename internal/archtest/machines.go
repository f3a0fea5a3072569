package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
)

// clock is what package time has that depends on the moment of the call, or waits.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Timer", "Ticker", "Local", "LoadLocation"}

// impurities returns one line for each place in the source of a machine that starts a goroutine, uses a channel, or asks the clock. Which
// packages a machine imports is a rule about imports.
func impurities(name, text string) ([]string, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	timeName := "" // of package time in this file
	for _, i := range file.Imports {
		if path, _ := strconv.Unquote(i.Path.Value); path == "time" {
			timeName = path
			if i.Name != nil {
				timeName = i.Name.Name
			}
		}
	}
	var found []string
	report := func(n ast.Node, what string) {
		found = append(found, fmt.Sprintf("%s: a machine below store/internal %s", set.Position(n.Pos()), what))
	}
	if timeName == "." {
		report(file, "does not import time as .")
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			report(n, "starts no goroutine")
		case *ast.ChanType, *ast.SendStmt, *ast.SelectStmt:
			report(n, "has no channel")
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				report(n, "has no channel")
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && timeName != "" && x.Name == timeName && slices.Contains(clock, n.Sel.Name) {
				report(n, "has no clock: time."+n.Sel.Name)
			}
		}
		return true
	})
	return found, nil
}

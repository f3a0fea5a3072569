package measure

import (
	_ "embed"
	"html/template"
	"io"
	"time"
)

//go:embed report.html
var pageText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"time":  func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") },
	"count": count[int64], "number": number, "duration": duration, "plural": plural,
}).Parse(pageText))

// HTML writes the report as one page. It refers to nothing outside itself, has no script, and fits a phone.
func (r Report) HTML(w io.Writer) error {
	return page.Execute(w, struct {
		Report
		Facts      []fact
		Throughput []chart
		Latency    spans
		Words      []worded
	}{r, r.facts(), r.throughput(), r.latency(), r.words()})
}

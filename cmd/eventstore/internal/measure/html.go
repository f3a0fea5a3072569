package measure

import (
	_ "embed"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/go-analyze/charts"
)

//go:embed report.html
var pageText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"time": func(t time.Time) string { return t.Format(time.RFC3339) },
}).Parse(pageText))

// HTML writes the report as one page with tables and charts. It refers to nothing outside itself.
func (r Report) HTML(w io.Writer) error {
	var rates, times []Step
	for _, s := range r.Steps {
		if !strings.HasPrefix(s.Name, Delivery) {
			rates = append(rates, s)
		}
		if s.P99 > 0 {
			times = append(times, s)
		}
	}
	throughput, err := bars(rates, "events/s", func(s Step) float64 { return s.PerSecond })
	if err != nil {
		return err
	}
	latency, err := bars(times, "p99, ms", func(s Step) float64 { return s.P99 })
	if err != nil {
		return err
	}
	return page.Execute(w, struct {
		Report
		Throughput, Latency template.HTML
	}{r, throughput, latency})
}

// bars draws a bar for each step, the first on top, as SVG to stand within HTML. It is empty without steps.
func bars(steps []Step, unit string, value func(Step) float64) (template.HTML, error) {
	if len(steps) == 0 {
		return "", nil
	}
	labels, values := make([]string, len(steps)), make([]float64, len(steps))
	for i, s := range steps {
		at := len(steps) - 1 - i // they are drawn from the bottom up
		labels[at], values[at] = s.Label(), value(s)
	}
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: 900, Height: 90 + 40*len(steps)})
	o := charts.NewBarChartOptionWithData([][]float64{values})
	o.Horizontal = true
	o.Padding = charts.NewBoxEqual(20)
	o.Title.Text = unit
	o.CategoryAxis.Labels = labels
	o.ValueAxis = []charts.ValueAxisOption{{Min: charts.Ptr(0.0)}} // so that the lengths of bars compare
	for i := range o.SeriesList {
		o.SeriesList[i].Label.Show = charts.Ptr(true)
	}
	if err := p.BarChart(o); err != nil {
		return "", err
	}
	svg, err := p.Bytes()
	if err != nil {
		return "", err
	}
	// Within HTML the namespaces, which look like links, are not needed.
	return template.HTML(strings.NewReplacer( //nolint:gosec // charts escapes the labels, as a test shows
		` xmlns="http://www.w3.org/2000/svg"`, "", ` xmlns:xlink="http://www.w3.org/1999/xlink"`, "").Replace(string(svg))), nil
}

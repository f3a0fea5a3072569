package bench

import (
	"image/color"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// chart writes a bar chart of the medians of a workload as SVG.
func chart(path, title, unit string, names []string, medians []float64) error {
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text = unit
	p.X.Min = 0
	bars, err := plotter.NewBarChart(plotter.Values(medians), vg.Points(14))
	if err != nil {
		return err
	}
	bars.Horizontal = true
	bars.Color = color.RGBA{R: 0x33, G: 0x66, B: 0x99, A: 0xff}
	bars.LineStyle.Width = 0
	p.Add(bars)
	p.NominalY(names...)
	return p.Save(16*vg.Centimeter, vg.Length(2+len(names))*vg.Centimeter, filepath.Clean(path))
}

package bench

import (
	"fmt"
	"slices"
	"strings"
)

// figures are what was measured: by workload and peer, one figure per round.
type figures map[string]map[string][]float64

func (f figures) add(workload, peer string, figure float64) {
	if f[workload] == nil {
		f[workload] = map[string][]float64{}
	}
	f[workload][peer] = append(f[workload][peer], figure)
}

// spread is the median of some figures, the lowest and the highest.
func spread(list []float64) (median, lowest, highest float64) {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2], list[0], list[len(list)-1]
}

// text is a figure as people read it.
func text(figure float64) string {
	if figure < 100 {
		return fmt.Sprintf("%.2f", figure)
	}
	digits := fmt.Sprintf("%.0f", figure)
	var out strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out.WriteByte(',')
		}
		out.WriteRune(d)
	}
	return out.String()
}

package measure

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// fact is a figure that the page begins with.
type fact struct{ Value, Unit, About string }

// facts returns the best rates, and how long one event takes.
func (r Report) facts() (list []fact) {
	if s, ok := best(r.steps(func(s Step) bool { return s.Name == Append })); ok {
		list = append(list, fact{number(s.PerSecond), "events/s appended", plural(s.Writers, "writer") + ", " + perAppend(s.Batch)})
	}
	if s, ok := best(r.steps(func(s Step) bool { return s.Name == ReadAll || s.Name == ReadStream })); ok {
		list = append(list, fact{number(s.PerSecond), "events/s read", r.label(s)})
	}
	for _, s := range r.Steps {
		switch {
		case s.Name == Append && s.Writers == 1 && s.Batch == 1:
			list = append(list, fact{duration(s.P50), "to append an event", "median, with one writer"})
		case s.Name == Delivery:
			list = append(list, fact{duration(s.P50), "to deliver an event", "median, from the start of its append"})
		}
	}
	return list
}

func best(steps []Step) (most Step, ok bool) {
	for _, s := range steps {
		if s.PerSecond > most.PerSecond {
			most, ok = s, true
		}
	}
	return most, ok
}

// label is a step in words.
func (r Report) label(s Step) string {
	switch s.Name {
	case Append:
		return "Append, " + plural(s.Writers, "writer") + ", " + perAppend(s.Batch)
	case ReadAll:
		return "Read all events, one reader"
	case ReadStream:
		return "Read one stream, one reader"
	case CatchUp:
		return "Catch up, " + plural(r.Subscribers, "subscription")
	case Delivery:
		return "Deliver, from the start of the append"
	case DeliveryAfterAppend:
		return "Deliver, from the end of the append"
	}
	return s.Label()
}

// words returns the steps in words, for the table.
func (r Report) words() (list []worded) {
	for _, s := range r.Steps {
		list = append(list, worded{s, r.label(s)})
	}
	return list
}

// worded is a step with its label.
type worded struct {
	Step
	Words string
}

func perAppend(batch int) string {
	if batch == 1 {
		return "1 event per append"
	}
	return count(batch) + " events per append"
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return count(n) + " " + what + "s"
}

// count is a whole number with its thousands apart.
func count[T ~int | ~int64](n T) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// number is a rate with as many digits as mean something.
func number(f float64) string {
	switch {
	case f >= 100:
		return count(int64(f + 0.5))
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

// duration is a time in milliseconds with its unit, to three digits.
func duration(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	digits := func(f float64) string { return strconv.FormatFloat(f, 'g', 3, 64) }
	switch {
	case d < time.Millisecond:
		return digits(float64(d.Microseconds())) + " µs"
	case d < time.Second:
		return digits(ms) + " ms"
	case d < 1000*time.Second:
		return digits(d.Seconds()) + " s"
	}
	return count(int64(d.Seconds())) + " s"
}

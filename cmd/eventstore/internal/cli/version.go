package cli

import (
	"cmp"
	"runtime/debug"
)

// version prints what this program was built from.
func (a *app) version() error {
	v := struct {
		Version  string `json:"version"`
		Commit   string `json:"commit,omitempty"`
		Modified bool   `json:"modified,omitempty"` // since the commit
		Go       string `json:"go"`
	}{Version: "unknown"}
	if info, ok := debug.ReadBuildInfo(); ok {
		v.Version, v.Go = cmp.Or(info.Main.Version, "(devel)"), info.GoVersion
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Commit = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	if a.json() {
		return a.object(v)
	}
	text := "eventstore " + v.Version
	if v.Commit != "" {
		text += ", commit " + v.Commit
	}
	if v.Modified {
		text += " with changes"
	}
	return a.say("%s, %s", text, v.Go)
}

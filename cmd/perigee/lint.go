package main

import (
	"fmt"

	"github.com/perigee-gateway/perigee/shared/boot"
)

type lintCmd struct {
	Bundles []string `arg:"" help:"Bundle directories or zips."`
	Strict  bool     `help:"Fail on warnings too."`
}

// Run prints the problems of every bundle and fails if one would be refused.
func (c *lintCmd) Run(s streams) error {
	refused := 0
	for _, path := range c.Bundles {
		problems, err := boot.Lint(path)
		if err != nil {
			return err
		}
		for _, p := range problems {
			fmt.Fprintf(s.out, "%s/%s\n", path, p)
		}
		if len(problems.Errors()) > 0 || c.Strict && len(problems) > 0 {
			refused++
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d bundles would be refused", refused, len(c.Bundles))
	}
	return nil
}

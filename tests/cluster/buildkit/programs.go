//go:build tools

// Package buildkit names the two programs of BuildKit, so that `go mod tidy` keeps what they need.
package buildkit

import (
	_ "github.com/moby/buildkit/cmd/buildctl"
	_ "github.com/moby/buildkit/cmd/buildkitd"
)

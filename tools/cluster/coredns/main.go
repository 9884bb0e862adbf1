// CoreDNS with the plugins that the cluster's Corefile names, and no other: those of all clouds take longer to build
// than the rest of it. https://github.com/coredns/coredns/blob/master/README.md, "Compilation from Source".
package main

import (
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

func main() {
	coremain.Run()
}

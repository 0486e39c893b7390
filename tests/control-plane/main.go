// Command control-plane is a whole Kubernetes control plane in one program,
// for the integration tests and the demo. It becomes etcd, kube-apiserver,
// kube-controller-manager or kubectl by the name that it is started under, so
// that four symbolic links to one file look like the usual four programs.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

// programs maps each name that this program can be started under to what it
// then does. Each takes the whole command line, the name included.
var programs = map[string]func(args []string) int{
	"etcd": func(args []string) int {
		etcdmain.Main(args) // leaves by os.Exit when it fails
		return 0
	},
	"kube-apiserver": func([]string) int {
		return cli.Run(apiserver.NewAPIServerCommand())
	},
	"kube-controller-manager": func([]string) int {
		return cli.Run(controllermanager.NewControllerManagerCommand())
	},
	"kubectl": func([]string) int {
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			kubectlutil.CheckErr(err) // prints the way kubectl does, and leaves
			return 1
		}
		return 0
	},
}

func main() {
	os.Exit(run(os.Args, os.Stderr))
}

// run starts the program that args[0] names. It returns the exit status.
func run(args []string, stderr io.Writer) int {
	name := ""
	if len(args) > 0 {
		name = strings.TrimSuffix(filepath.Base(args[0]), ".exe")
	}
	program, ok := programs[name]
	if !ok {
		fmt.Fprintf(stderr, "control-plane: cannot be started as %q: link it as one of %s\n",
			name, strings.Join(names(), ", "))
		return 2
	}
	return program(args)
}

// names lists what this program can be started as, in alphabetical order.
func names() []string {
	list := make([]string, 0, len(programs))
	for name := range programs {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

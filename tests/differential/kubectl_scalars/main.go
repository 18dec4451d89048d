// Answers of sigs.k8s.io/yaml, which kubectl reads YAML with: a JSON string of a scalar per line in, JSON or `error` per line out.
// Only for tests/differential/test_yaml.py --write; no test needs Go.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<20)
	for in.Scan() {
		var text string
		if json.Unmarshal(in.Bytes(), &text) != nil {
			panic("input")
		}
		out, err := yaml.YAMLToJSON([]byte("v: " + text + "\n"))
		if err != nil {
			fmt.Println("error")
		} else {
			fmt.Println(string(out))
		}
	}
}

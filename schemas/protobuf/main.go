// Writes where the served kinds' fields stand in Kubernetes's protobuf encoding, from the tags of its Go types:
//
//	cd schemas/protobuf && go run . > ../../crates/cores/schema/src/protobuf.txt
//
// It is needed again only for a new version of Kubernetes. The table's form is described in protobuf.rs.
package main

import (
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"

	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	events "k8s.io/api/events/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var kinds = []any{
	core.Binding{}, core.ConfigMap{}, core.Endpoints{}, core.Event{}, core.Namespace{}, core.Node{}, core.Pod{},
	core.Secret{}, core.Service{}, core.ServiceAccount{}, coordination.Lease{}, discovery.EndpointSlice{},
	events.Event{}, networking.IPAddress{}, networking.ServiceCIDR{}, meta.DeleteOptions{},
}

// Types with an encoding of their own.
var leaves = map[string]string{
	"meta.v1.Time": "time", "meta.v1.MicroTime": "microtime", "meta.v1.FieldsV1": "json",
	"intstr.IntOrString": "intstr", "resource.Quantity": "quantity",
}

var lines = map[string]string{}

func main() {
	for _, kind := range kinds {
		message(reflect.TypeOf(kind))
	}
	names := make([]string, 0, len(lines))
	for name := range lines {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Println(name + lines[name])
	}
}

// The last two parts of a package's path, without what all have.
func name(of reflect.Type) string {
	parts := strings.Split(of.PkgPath(), "/")
	last := parts[len(parts)-1]
	if strings.HasPrefix(last, "v") && len(last) <= 3 {
		last = parts[len(parts)-2] + "." + last
	}
	return last + "." + of.Name()
}

func message(of reflect.Type) {
	if _, seen := lines[name(of)]; seen {
		return
	}
	lines[name(of)] = ""
	var line strings.Builder
	for i := 0; i < of.NumField(); i++ {
		field := of.Field(i)
		tag := field.Tag.Get("protobuf")
		if tag == "" || tag == "-" {
			continue
		}
		parts := strings.Split(field.Tag.Get("json"), ",")
		json := parts[0]
		if len(parts) > 1 && parts[1] == "inline" {
			json = "*"
		}
		kept := ""
		if field.Type.Kind() == reflect.Pointer || len(parts) < 2 {
			kept = "!"
		}
		fmt.Fprintf(&line, "\t%s%s %s %s", json, kept, strings.Split(tag, ",")[1], code(field.Type))
	}
	lines[name(of)] = line.String()
}

func code(of reflect.Type) string {
	if of.Kind() == reflect.Struct {
		if leaf, ok := leaves[name(of)]; ok {
			return leaf
		}
		message(of)
		return name(of)
	}
	switch of.Kind() {
	case reflect.Pointer:
		return code(of.Elem())
	case reflect.Slice:
		if of.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "[]" + code(of.Elem())
	case reflect.Map:
		return "{}" + code(of.Elem())
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Int32, reflect.Int64:
		return "int"
	}
	fmt.Fprintln(os.Stderr, "no code for", of)
	os.Exit(1)
	return ""
}

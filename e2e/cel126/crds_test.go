// Our definitions as Kubernetes 1.26, the oldest release we promise, would judge them: every schema,
// every CEL rule and its cost. Newer releases know more functions, so only an old compiler can tell.
package cel126

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

const definitions = "../../charts/gastown-operator/files/crds"

// judge decodes a definition strictly and validates it as the API server does when it is created.
func judge(t *testing.T, content []byte) (rules int, errs field.ErrorList) {
	t.Helper()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	var external v1.CustomResourceDefinition
	// Strict: a field that 1.26 does not know would be dropped there in silence, and its promise with it.
	if err := yaml.UnmarshalStrict(content, &external); err != nil {
		t.Fatalf("Kubernetes 1.26 does not know a field of it: %v", err)
	}
	scheme.Default(&external)
	// The name controller writes these once the definition is stored.
	for _, version := range external.Spec.Versions {
		if version.Storage {
			external.Status.StoredVersions = []string{version.Name}
		}
		rules += count(version.Schema.OpenAPIV3Schema)
	}
	var internal apiextensions.CustomResourceDefinition
	if err := scheme.Convert(&external, &internal, nil); err != nil {
		t.Fatal(err)
	}
	return rules, validation.ValidateCustomResourceDefinition(context.Background(), &internal)
}

func count(schema *v1.JSONSchemaProps) int {
	if schema == nil {
		return 0
	}
	total := len(schema.XValidations)
	for _, property := range schema.Properties {
		total += count(&property)
	}
	if schema.Items != nil {
		total += count(schema.Items.Schema)
	}
	if schema.AdditionalProperties != nil {
		total += count(schema.AdditionalProperties.Schema)
	}
	return total
}

func TestOurDefinitionsAreAcceptedBy126(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(definitions, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no definitions in %s: %v", definitions, err)
	}
	total := 0
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			rules, errs := judge(t, content)
			for _, err := range errs {
				t.Error(err)
			}
			t.Logf("%d rules compile within their cost", rules)
			total += rules
		})
	}
	if total == 0 {
		t.Error("no CEL rule was found: this test proves nothing")
	}
}

const sample = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.things.example.org}
spec:
  group: things.example.org
  scope: Namespaced
  names: {kind: Gadget, listKind: GadgetList, plural: gadgets, singular: gadget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {type: integer}
              text: {type: string}
              tags: {type: array, items: {type: string}}
            x-kubernetes-validations:
            - rule: RULE
`

// The test itself can fail: what 1.26 cannot know or afford is refused.
func TestWhat126CannotDoIsRefused(t *testing.T) {
	for rule, complaint := range map[string]string{
		"has(self.size) && self.size > 0": "",
		"isQuantity(self.text)":           "undeclared reference",
		"self.?size.orValue(1) > 0":       "compilation failed",
		"self.tags.all(a, self.tags.all(b, self.tags.exists(c, c == a + b)))": "cost",
		"self.colour == 'red'": "undefined field",
	} {
		quoted, err := yaml.Marshal(rule)
		if err != nil {
			t.Fatal(err)
		}
		_, errs := judge(t, []byte(strings.Replace(sample, "RULE", strings.TrimSpace(string(quoted)), 1)))
		said := errs.ToAggregate()
		switch {
		case complaint == "" && said != nil:
			t.Errorf("%s: refused: %v", rule, said)
		case complaint != "" && (said == nil || !strings.Contains(said.Error(), complaint)):
			t.Errorf("%s: want a refusal with %q, got %v", rule, complaint, said)
		}
	}
}

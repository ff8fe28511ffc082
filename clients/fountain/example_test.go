package fountain_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
)

// A program signs in with an API key, appends an element and reads all elements.
func Example() {
	ctx := context.Background()
	gateway := exampleFamily()
	defer gateway.Close()

	c, err := fountain.New(gateway.URL, fountain.WithAPIKey("fk_live_01KBB6Q3Y5W1V9T2ZD0G7M4N8P_example"))
	if err != nil {
		log.Fatal(err)
	}
	line, err := c.Sequence.CreateElement(ctx, "hamlet", "spokenWord", sequence.ElementCreate{
		Data: json.RawMessage(`{"character": "BERNARDO", "text": "Who's there?"}`),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("number", line.Number)
	for line, err := range c.Sequence.Elements(ctx, "hamlet", "spokenWord") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(line.Number, string(line.Data))
	}
	// Output:
	// number 1
	// 1 {"text":"Who's there?"}
}

// The operation requires a second factor, and the callback returns the code.
func ExampleWithStepUp() {
	gateway := exampleFamily()
	defer gateway.Close()
	c, err := fountain.New(gateway.URL,
		fountain.WithUser("ada", "correct horse battery staple"),
		fountain.WithStepUp(func(_ context.Context, challenge fountain.Challenge) (string, error) {
			fmt.Println(challenge.Operation, "asks for", challenge.ACRValues[0])
			return "424242", nil // from the user's authenticator
		}))
	if err != nil {
		log.Fatal(err)
	}
	result, err := c.Sequence.ReorderElements(context.Background(), "hamlet", "spokenWord", sequence.Reorder{Order: []string{"b", "a"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Changes[0].ID, "is now", result.Changes[0].To)
	// Output:
	// reorderElements asks for aal2
	// b is now 1
}

// A refusal has a code, a class, and the places where the request is wrong.
func ExampleError() {
	gateway := exampleFamily()
	defer gateway.Close()
	c, err := fountain.New(gateway.URL)
	if err != nil {
		log.Fatal(err)
	}
	_, err = c.Sequence.GetElement(context.Background(), "hamlet", "spokenWord", "nobody")
	var refusal *fountain.Error
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Status, refusal.Code, refusal.RequestID)
	}
	fmt.Println(errors.Is(err, fountain.ErrNotFound), errors.Is(err, fountain.CodeNotFound))
	// Output:
	// 404 not_found req_1
	// true true
}

// A change names the version that was read.
func ExampleIfMatch() {
	read := sequence.Element{Version: 3}
	fmt.Println(fountain.IfMatch(read.Version))
	// Output: "3"
}

// exampleFamily is the server for the examples.
func exampleFamily() *fake {
	f := newFake(exampleT{})
	f.on("POST /kms/v1/oauth2/token", func(w http.ResponseWriter, _ *http.Request, _ int) { answer(w, 200, tokens("at", "", 900)) })
	f.on("POST /kms/v1/auth/login", func(w http.ResponseWriter, _ *http.Request, _ int) { answer(w, 200, tokens("at", "rt", 600)) })
	f.on("POST /kms/v1/auth/step-up", func(w http.ResponseWriter, _ *http.Request, _ int) { answer(w, 200, tokens("raised", "", 300)) })
	f.on("POST /twofactor/v1/verify", func(w http.ResponseWriter, _ *http.Request, _ int) {
		answer(w, 200, map[string]any{"proof": "p", "acr": "aal2", "amr": []string{"otp"}, "authTime": "2026-11-23T10:00:00Z", "expiresAt": "2026-11-23T10:01:00Z"})
	})
	f.on("POST "+elementsPath, func(w http.ResponseWriter, _ *http.Request, _ int) { sendElement(w, 201) })
	f.on("GET "+elementsPath, func(w http.ResponseWriter, _ *http.Request, _ int) {
		answer(w, 200, map[string]any{"items": []json.RawMessage{json.RawMessage(element)}})
	})
	f.on("GET "+elementsPath+"/{id}", func(w http.ResponseWriter, _ *http.Request, _ int) { refuse(w, 404, fountain.CodeNotFound) })
	f.on("POST "+reorderPath, func(w http.ResponseWriter, r *http.Request, _ int) {
		if r.Header.Get("Authorization") != "Bearer raised" {
			challenge(w)
			return
		}
		answer(w, 200, map[string]any{"changes": []any{map[string]any{"id": "b", "from": 2, "to": 1}}})
	})
	return f
}

type exampleT struct{}

func (exampleT) Cleanup(func()) {}

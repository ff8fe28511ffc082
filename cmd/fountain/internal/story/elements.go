package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/cmd/fountain/internal/importer"
)

const spoken = "spokenWord"

// line is the part of an element's data that the story uses.
type line struct {
	Character string `json:"character"`
	Text      string `json:"text"`
}

func read(e sequence.Element) line {
	var l line
	_ = json.Unmarshal(e.Data, &l) // an element of another shape is read as empty, which no step expects
	return l
}

// importPlay stores the screenplay, and then again to show that repeating is safe.
func (t *teller) importPlay(ctx context.Context) error {
	t.say("The play is read as Fountain text and stored through the gateway in batches. Each type of element has numbers of its own.")
	first, err := importer.Import(ctx, t.script, importer.Options{Client: t.client, Scope: t.Scope})
	if err != nil {
		return err
	}
	counts := first.Counts
	total := 0
	for _, c := range counts {
		t.row("%-12s %3d elements, numbers %d to %d", c.Type, c.Elements, c.First, c.Last)
		if c.First != 1 || c.Last != int64(c.Elements) {
			return failed("%s has the numbers %d to %d for %d elements", c.Type, c.First, c.Last, c.Elements)
		}
		total += c.Elements
	}
	again, err := importer.Import(ctx, t.script, importer.Options{Client: t.client, Scope: t.Scope})
	if err != nil {
		return err
	}
	for i, c := range again.Counts {
		if c.First != counts[i].First || c.Last != counts[i].Last {
			return failed("the second import assigned other numbers to %s", c.Type)
		}
	}
	t.say("A second import of the same text changes nothing: still %d elements.", total)
	return nil
}

// numbers reads every speech back.
func (t *teller) numbers(ctx context.Context) error {
	all, err := t.speeches(ctx)
	if err != nil {
		return err
	}
	for i, e := range all {
		if e.Number != int64(i+1) {
			return failed("number %d is missing", i+1)
		}
		if i < 3 {
			l := read(e)
			t.row("%2d  %-6s %s", e.Number, l.Character, oneLine(l.Text))
		}
	}
	t.say("All %d speeches are there: 1, 2, 3 ... %d, none missing, none twice.", len(all), len(all))
	return nil
}

func (t *teller) speeches(ctx context.Context) ([]sequence.Element, error) {
	all, err := fountain.Collect(t.client.Sequence.Elements(ctx, t.Scope, spoken))
	if err == nil && len(all) < 4 {
		err = failed("there are only %d speeches", len(all))
	}
	return all, err
}

// searchPatience limits how long the index may take to include the import.
const searchPatience = 30 * time.Second

// search finds a line by a misspelt query.
func (t *teller) search(ctx context.Context) error {
	words := "phosforescent parlament of herring"
	t.say("Every change reaches the search engine through an outbox. Two of these words are misspelt:")
	query := sequence.ElementSearch{Q: words, ElementType: fountain.Ptr(spoken), Facets: &[]string{"character"}}
	hit, result, err := t.find(ctx, query, "phosphorescent parliament of herring")
	if err != nil {
		return err
	}
	t.call("POST .../search "+fmt.Sprintf("%q", words), fmt.Sprintf("200 %d found", result.Found))
	l := read(hit)
	t.print(fmt.Sprintf("%d  %s: %s", hit.Number, l.Character, oneLine(l.Text)), "     ")
	query.Q, query.Filters = "*", &[]sequence.PropertyFilter{{Property: "character", Values: []string{"BRAM"}}}
	bram, err := t.client.Sequence.SearchElements(ctx, t.Scope, query)
	if err != nil {
		return err
	}
	if bram.Found == 0 || len(bram.Facets) != 1 || len(bram.Facets[0].Counts) != 1 || bram.Facets[0].Counts[0].Count != bram.Found {
		return failed("the speeches of BRAM alone were not found and counted")
	}
	t.say("Filtered by character, BRAM has %d speeches.", bram.Found)
	return nil
}

// find searches until the first hit has the text.
func (t *teller) find(ctx context.Context, query sequence.ElementSearch, text string) (sequence.Element, *sequence.ElementSearchResult, error) {
	ctx, cancel := context.WithTimeout(ctx, searchPatience)
	defer cancel()
	for {
		result, err := t.client.Sequence.SearchElements(ctx, t.Scope, query)
		if err == nil && len(result.Hits) > 0 {
			if hit := result.Hits[0].Element; strings.Contains(oneLine(read(hit).Text), text) {
				return hit, result, nil
			}
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, fountain.ErrNotFound) && !errors.Is(err, fountain.ErrUnavailable) {
			return sequence.Element{}, nil, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return sequence.Element{}, nil, failed("the line was not found within %s", searchPatience)
		}
	}
}

// version changes a line, and shows what happens to a writer who has not seen the change.
func (t *teller) version(ctx context.Context) error {
	all, err := t.speeches(ctx)
	if err != nil {
		return err
	}
	at := -1
	for i, e := range all {
		if read(e).Text == "The one I skipped." {
			at = i
		}
	}
	if at < 0 {
		return failed("the line to change does not exist")
	}
	e := all[at]
	data, err := with(e.Data, "text", "The one that was skipped.")
	if err != nil {
		return err
	}
	t.say("ILSE's line %d reads: \"The one I skipped.\" It gets a second version; the first stays as it was.", e.Number)
	change := sequence.VersionCreate{Data: data, Comment: fountain.Ptr("kinder")}
	changed, err := t.client.Sequence.CreateVersion(ctx, t.Scope, spoken, e.ID, fountain.IfMatch(e.Version), change)
	if err != nil {
		return err
	}
	if changed.Version != e.Version+1 || changed.Number != e.Number {
		return failed("the element has version %d and number %d now", changed.Version, changed.Number)
	}
	t.call("POST .../"+e.ID+"/versions  If-Match: \"1\"", "201 version 2")
	_, err = t.client.Sequence.CreateVersion(ctx, t.Scope, spoken, e.ID, fountain.IfMatch(e.Version), change)
	if !errors.Is(err, fountain.ErrStale) {
		return failed("a change over a version that is not current was not refused: %w", err)
	}
	t.call("POST .../"+e.ID+"/versions  If-Match: \"1\"", answerOf(err))
	first, err := t.client.Sequence.GetVersion(ctx, t.Scope, spoken, e.ID, 1)
	if err != nil {
		return err
	}
	if read(sequence.Element{Data: first.Data}).Text != "The one I skipped." {
		return failed("the first version is not what it was")
	}
	t.say("Whoever still holds version 1 can't overwrite what they have not seen.")
	return nil
}

// with returns a JSON object with one property replaced.
func with(data json.RawMessage, property, value string) (json.RawMessage, error) {
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, err
	}
	object[property] = value
	return json.Marshal(object)
}

package scopefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

// write writes elements of a type, each with the given number of versions.
func write(t testing.TB, versions ...int64) []byte {
	var out bytes.Buffer
	w, err := NewWriter(&out, "hamlet")
	require.NoError(t, err)
	at := time.UnixMicro(1_700_000_000_000_001)
	for n, last := range versions {
		require.NoError(t, w.Element(domain.Element{
			Ref: domain.Ref{Group: domain.Group{ElementType: "line"}, ID: fmt.Sprint("e", n)}, Number: int64(n + 1), Status: domain.Active, Version: last, CreatedAt: at, UpdatedAt: at,
		}))
		for v := range last {
			require.NoError(t, w.Version(domain.Version{Version: v + 1, Data: []byte(`{"a":"<&>\u0041"}`), CreatedAt: at, CreatedBy: "usr_1"}))
		}
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// read reads a file to its end.
func read(text []byte) (items []Item, sum Sum, err error) {
	r := NewReader(bytes.NewReader(text))
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			return items, r.Sum(), nil
		}
		if err != nil {
			return items, Sum{}, err
		}
		items = append(items, item)
	}
}

func TestReader_readsWhatAWriterWrote(t *testing.T) {
	items, sum, err := read(write(t, 1, 3, 2))
	require.NoError(t, err)
	require.Len(t, items, 9)
	require.EqualValues(t, 3, sum.Elements)
	require.EqualValues(t, 6, sum.Versions)
	require.Equal(t, `{"a":"<&>\u0041"}`, string(items[1].Version.Data), "every byte")
	require.True(t, items[1].Last)
	require.False(t, items[3].Last)
}

// A file in which any byte is changed is refused, in whichever line it is.
func TestReader_refusesEveryChangedByte(t *testing.T) {
	text := write(t, 1, 2)
	for i := range text {
		changed := bytes.Clone(text)
		changed[i] ^= 1
		_, _, err := read(changed)
		require.Error(t, err, "byte %d of %q", i, text)
	}
	for cut := range len(text) - 1 { // the end of the last line may be missing
		_, _, err := read(text[:cut])
		require.Error(t, err, "cut at %d", cut)
	}
}

func TestReader_refusesALineThatIsTooLong(t *testing.T) {
	_, _, err := read([]byte(`{"export":{"format":1,"scope":"` + strings.Repeat("x", MaxLine) + `"}}` + "\n"))
	var fault *Fault
	require.ErrorAs(t, err, &fault)
	require.Equal(t, "maxBytes", fault.Rule)
}

// A file that is read to its end has no gaps: numbers from 1 in each type, and versions from 1 to the current one.
func FuzzReader(f *testing.F) {
	f.Add(write(f, 1, 3, 2))
	f.Add([]byte(`{"export":{"format":1,"scope":"a"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		items, sum, err := read(text)
		if err != nil {
			return
		}
		last := map[string]int64{}
		var current *domain.Element
		version := int64(0)
		for _, i := range items {
			if i.Element != nil {
				require.True(t, current == nil || version == current.Version)
				last[i.Element.ElementType]++
				require.Equal(t, last[i.Element.ElementType], i.Element.Number)
				current, version = i.Element, 0
				continue
			}
			version++
			require.Equal(t, version, i.Version.Version)
		}
		require.EqualValues(t, len(items), sum.Elements+sum.Versions)
	})
}

// A file with its lines in a wrong order is refused, even if its last line is right.
func TestReader_refusesVersionsAndNumbersOutOfOrder(t *testing.T) {
	at := time.UnixMicro(1_700_000_000_000_000)
	element := func(number, version int64) domain.Element {
		return domain.Element{Ref: domain.Ref{Group: domain.Group{ElementType: "line"}, ID: fmt.Sprint("e", number)}, Number: number, Status: domain.Active, Version: version, CreatedAt: at, UpdatedAt: at}
	}
	for name, order := range map[string][]int64{"2 before 1": {2, 1}, "1 twice": {1, 1}, "1 missing": {2}, "one too many": {1, 2, 3}} {
		var out bytes.Buffer
		w, err := NewWriter(&out, "hamlet")
		require.NoError(t, err)
		require.NoError(t, w.Element(element(1, 2)))
		for _, v := range order {
			require.NoError(t, w.Version(domain.Version{Version: v, Data: []byte(`{}`), CreatedAt: at, CreatedBy: "usr_1"}))
		}
		require.NoError(t, w.Close())
		_, _, err = read(out.Bytes())
		var fault *Fault
		require.ErrorAs(t, err, &fault, name)
	}
	for _, numbers := range [][]int64{{2}, {1, 3}, {1, 1}} {
		var out bytes.Buffer
		w, err := NewWriter(&out, "hamlet")
		require.NoError(t, err)
		for _, n := range numbers {
			require.NoError(t, w.Element(element(n, 1)))
			require.NoError(t, w.Version(domain.Version{Version: 1, Data: []byte(`{}`), CreatedAt: at, CreatedBy: "usr_1"}))
		}
		require.NoError(t, w.Close())
		_, _, err = read(out.Bytes())
		require.Error(t, err, "%v", numbers)
	}
}

package groupcommit

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Random pushes and pops keep the guarantees of the queue: items of one part leave in order, none is lost or duplicated, and between two turns of an
// owner no waiting owner is passed over.
func TestFair_takesTurnsAndLosesNothing(t *testing.T) {
	type item struct {
		owner, part string
		n           int
	}
	rapid.Check(t, func(t *rapid.T) {
		q := newFair[item](rapid.IntRange(1, 30).Draw(t, "most"))
		var inside []item
		since := map[string]int{} // turns of other owners since an owner's last one, while it has items
		waits := func(owner string) (n int) {
			for _, one := range inside {
				if one.owner == owner {
					n++
				}
			}
			return n
		}
		take := func(one item) {
			for i := range inside {
				if inside[i] == one {
					inside = append(inside[:i], inside[i+1:]...)
					return
				}
			}
			t.Fatalf("%v is not inside", one)
		}
		for n := range rapid.IntRange(1, 200).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "step") == 0 {
				got, ok := q.pop()
				require.Equal(t, len(inside) > 0, ok)
				if !ok {
					continue
				}
				for _, one := range inside {
					if one.owner == got.owner && one.part == got.part {
						require.Equal(t, one, got, "the first of its part")
						break
					}
				}
				take(got)
				delete(since, got.owner)
				for owner := range since {
					since[owner]++
					require.LessOrEqual(t, since[owner], 3, "each of the three others has had its turn")
				}
				if waits(got.owner) > 0 {
					since[got.owner] = 0
				}
				continue
			}
			one := item{fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "owner")), fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "part")), n}
			before := waits(one.owner)
			result, dropped, drops := q.push(one, one.owner, one.part)
			if drops {
				require.Greater(t, waits(dropped.owner), before+1, "of whoever has more")
				take(dropped)
			}
			if result == admitted {
				inside = append(inside, one)
				if before == 0 {
					since[one.owner] = 0
				}
			} else {
				require.Len(t, inside, q.most)
			}
			require.Equal(t, len(inside), q.len())
		}
	})
}

// BenchmarkFair measures one push and one pop, compared with the channel that was used before: for one owner, and for 64 owners with one queued
// request each.
func BenchmarkFair(b *testing.B) {
	b.Run("channel", func(b *testing.B) {
		q := make(chan *int, 4096)
		one := new(int)
		for range b.N {
			select {
			case q <- one:
			default:
			}
			select {
			case <-q:
			default:
			}
		}
	})
	for _, owners := range []int{1, 64} {
		b.Run(fmt.Sprintf("owners=%d", owners), func(b *testing.B) {
			names := make([]string, owners)
			for i := range names {
				names[i] = fmt.Sprintf("usr_%026d", i)
			}
			q := newFair[*int](4096)
			one := new(int)
			for n := 0; n < b.N; n += owners {
				for _, name := range names {
					q.push(one, name, "scope")
				}
				for range names {
					q.pop()
				}
			}
		})
	}
}

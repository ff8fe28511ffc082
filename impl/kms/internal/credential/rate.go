package credential

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/internal/ratelimit"
)

// Rate is the state of a key's rate limit: at this replica, or at all of them where limits are shared through Redis.
type Rate struct {
	Limit, Remaining int64
	ResetAt          time.Time     // when the full limit is available again
	Retry            time.Duration // until the next use is allowed; 0 when this one is
	Exceeded         bool
}

// rateName is the name of the limit in Redis, which the gateway's limits share.
const rateName = "kms api-key"

// rate counts one use of a key against its limit. Uses are counted by the key's lineage, so a rotation does not reset the count.
func (s *Keys) rate(ctx context.Context, k apikey.Key) Rate {
	if k.Limit.Uses == 0 {
		return Rate{}
	}
	uses := int(k.Limit.Uses)
	counts := []ratelimit.Count{{Name: rateName, Key: ratelimit.NewKey(rateName, k.RootID), Limit: ratelimit.NewLimit(uses, k.Limit.Window, uses, 1)}}
	allowed := s.limiter.Take(ctx, counts)
	c := counts[0]
	return Rate{Limit: k.Limit.Uses, Remaining: int64(c.Remaining), ResetAt: s.clock.Now().Add(c.Reset), Retry: c.Retry, Exceeded: !allowed}
}

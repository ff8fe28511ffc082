package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/store"
)

// created is the status of stored answers (201). The response to a repeat is made from the stored body.
const created = 201

// Once returns a factor.Once that answers a repeated enrolment with the first one. The stored answer contains the seed. It is
// sealed, and blanked after the time for which package idempotency keeps secrets.
func Once(answers *idempotency.Store, key idempotency.Key) factor.Once {
	return func(ctx context.Context, t factor.Tx, enrol func(ctx context.Context) (factor.Enrolment, error)) (factor.Enrolment, error) {
		open, ok := t.(tx)
		if !ok {
			return factor.Enrolment{}, fmt.Errorf("enrol once: transaction is a %T", t)
		}
		answer, _, err := answers.Do(ctx, open.Tx, key, true, func(ctx context.Context, _ *store.Tx) (int, map[string]string, []byte, error) {
			e, err := enrol(ctx)
			if err != nil {
				return 0, nil, nil, err
			}
			body, err := json.Marshal(e)
			return created, nil, body, err
		})
		if err != nil {
			return factor.Enrolment{}, err
		}
		var e factor.Enrolment
		if err := json.Unmarshal(answer.Body, &e); err != nil {
			return factor.Enrolment{}, fmt.Errorf("read kept enrolment: %w", err)
		}
		return e, nil
	}
}

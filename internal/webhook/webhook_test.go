package webhook_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/webhook"
)

// The HMACs were made by openssl: printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac one
func TestSign_hasASumOfTimeAndBodyForEachSecret(t *testing.T) {
	at := time.Unix(1700000000, 999)
	require.Equal(t, "t=1700000000, v1=1772115625e3255dbfca5d6d58f8ff88a635c98e7ea74e2161a12b6a61dd1858, v1=8e6298b3af5de80015be7bd69f5b2c31bc7d4d8d5c6eadc373734ada10e241d6", webhook.Sign(at, []byte(`{"a":1}`), "one", "two"))
	require.NotEqual(t, webhook.Sign(at, []byte(`{"a":1}`), "one"), webhook.Sign(at.Add(time.Second), []byte(`{"a":1}`), "one"))
}

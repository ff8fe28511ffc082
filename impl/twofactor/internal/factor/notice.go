package factor

import "time"

// Notice is what a person is told by the addresses that are theirs, because somebody else may have done it.
type Notice string

// The notices.
const (
	NoticeAdded        Notice = "factor_added"
	NoticeRevoked      Notice = "factor_revoked"
	NoticeRecoveryCode Notice = "recovery_code_used"
	NoticeReset        Notice = "factors_reset"  // by an administrator
	NoticeVoided       Notice = "factors_voided" // on the machine of the kms, by `fountain recover`
)

const (
	// NoticesPerDay bounds what one subject is told in a day, to each address.
	NoticesPerDay = 20
	// NoticeLife is how long a notice is tried.
	NoticeLife = 24 * time.Hour
)

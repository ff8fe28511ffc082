package factor

import "time"

// Notice tells a person, at their confirmed addresses, of a change to their factors, because another person may have made it.
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
	// NoticesPerDay is how many notices one subject gets in a day at most; each goes to every address.
	NoticesPerDay = 20
	// NoticeLife is how long the delivery of a notice is tried.
	NoticeLife = 24 * time.Hour
)

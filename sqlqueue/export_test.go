package sqlqueue

// TooOld is for tests: such servers are not at hand.
var TooOld = tooOld

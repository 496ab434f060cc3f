//go:build unix && !linux

package procgroup

const diesWithUs = false

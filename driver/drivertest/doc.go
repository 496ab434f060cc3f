// Package drivertest is the conformance suite for queue drivers.
package drivertest

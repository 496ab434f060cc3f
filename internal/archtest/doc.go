// Package archtest holds the tests of the repository itself: which package may
// import which, how large things may grow, that everything is documented, and
// that nothing is said in two places.
//
// Every rule carries its reason, because a rule without one is deleted by the
// first person in its way. A rule about a package applies once it exists.
package archtest

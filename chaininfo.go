package spool

import (
	"context"
	"encoding/json"
)

// Caught is what a job given to [Chain.Catch] is told of the link that has
// failed.
type Caught struct {
	Chain      string `json:"chain"` // the chain's id
	UUID       string `json:"uuid"`  // of the link, which is among the failed jobs
	Name       string `json:"name"`
	Connection string `json:"connection"` // where the link ran
	Queue      string `json:"queue"`
	Attempt    int    `json:"attempt"` // the one that failed
	// Error is the text of the failure; its first two KiB.
	Error string `json:"error"`
}

// CaughtFrom returns what the job of ctx is told of a link that has failed; ok
// is false if it is told nothing.
func CaughtFrom(ctx context.Context) (c Caught, ok bool) {
	j := JobFrom(ctx)
	if j == nil || j.Payload == nil || j.Payload.caught == nil {
		return c, false
	}
	return c, json.Unmarshal(j.Payload.caught, &c) == nil
}

// ChainInfo is what the payload of a link says of its chain.
type ChainInfo struct {
	// ID is the chain's, the uuid of its first link. Where PHP has dispatched the
	// link, which keeps no ids, it is that link's own.
	ID string
	// At is how many links went before this one; of one that PHP has dispatched
	// nobody knows.
	At int
	// Next are the names of the links behind this one, Catch those of what is
	// told of a failure.
	Next, Catch []string
}

// ChainOf returns what a payload says of its chain; nil if it is no link.
func ChainOf(p *Payload) (*ChainInfo, error) {
	if p.chain == nil && (p.Chain == nil || !p.Chain.Linked()) {
		return nil, nil //nolint:nilnil // none, and no error
	}
	body, err := p.chainBody()
	if err != nil {
		return nil, err
	}
	info := &ChainInfo{ID: body.ID, At: body.At}
	next, catch, err := p.rest(&body)
	if err != nil {
		return info, err
	}
	info.Catch = catch
	for _, l := range next {
		info.Next = append(info.Next, l.Name)
	}
	return info, nil
}

// rest is [Chained.Rest] for chains of both kinds.
func (p *Payload) rest(body *chainBody) (next []NextLink, catch []string, err error) {
	if p.Chain != nil {
		return p.Chain.Rest()
	}
	for _, text := range body.Next {
		l, err := parseLink(text)
		if err != nil {
			return nil, nil, err
		}
		n := NextLink{Name: l.name}
		if raw, ok := l.o.extra[batchKey].(json.RawMessage); ok {
			if err := json.Unmarshal(raw, &n.Batch); err != nil {
				return nil, nil, err
			}
		}
		next = append(next, n)
	}
	for _, text := range body.Catch {
		l, err := parseLink(text)
		if err != nil {
			return nil, nil, err
		}
		catch = append(catch, l.name)
	}
	return next, catch, nil
}

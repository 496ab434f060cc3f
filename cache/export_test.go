package cache

// Len is the number of values held, expired ones too.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.values.entries)
}

package oauth

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
)

// SetApproved implements policy.TokenKeeper: RFC 7009 for a revocation, and the
// way back that Apigee has.
func (s *Service) SetApproved(ctx context.Context, kind policy.TokenKind, text string, approved, cascade bool) error {
	err := s.r.Update(ctx, s.org, func(tx *registry.Tx) error {
		records, err := s.withPair(tx, kind, text, cascade)
		if err != nil {
			return err
		}
		if _, err := tx.Stamp(); err != nil {
			return err
		}
		if !approved {
			tx.Revoke()
		}
		for _, r := range records {
			r.Status, r.Reason = entity.Approved, ""
			if approved {
				r.Approved = s.now().UnixMilli()
			} else {
				r.Status, r.Reason = entity.Revoked, "REVOKED_BY_TOKEN"
			}
			if err := s.put(tx, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return unavailable(err)
	}
	s.Drop()
	return nil
}

// stored is a record and where it is.
type stored struct {
	*record
	key store.Key
}

func (s *Service) put(tx store.Tx, r stored) error {
	doc, err := r.doc(r.key, s.fields(r.record))
	if err != nil {
		return err
	}
	return tx.Put(doc)
}

// withPair reads a token, and with cascade those that it was issued with: all
// access tokens of a refresh token, the refresh token of an access token.
func (s *Service) withPair(tx store.Tx, kind policy.TokenKind, text string, cascade bool) ([]stored, error) {
	id := idOf(text).String()
	first, err := s.read(tx, s.tokenKey(id))
	if err != nil {
		return nil, err
	}
	if first.record == nil {
		return nil, refused(unknown(kind))
	}
	if first.Kind != kindOf(kind) {
		return nil, refused(policy.OtherTokenKind)
	}
	all := []stored{first}
	if !cascade || first.Family == "" {
		return all, nil
	}
	docs, err := tx.Query(store.Query{Collection: "tokens", Where: map[string]string{"refreshOf": first.Family}, Prefix: s.org + "/"})
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		r, err := decode(d)
		if err != nil {
			return nil, err
		}
		if r.Kind != first.Kind {
			all = append(all, stored{r, d.Key})
		}
	}
	return all, nil
}

// read is the record of a key; its record is nil if there is none.
func (s *Service) read(tx store.Tx, key store.Key) (stored, error) {
	doc, err := tx.Get(key)
	if store.IsNotFound(err) {
		return stored{}, nil
	}
	if err != nil {
		return stored{}, err
	}
	r, err := decode(doc)
	return stored{r, key}, err
}

func kindOf(k policy.TokenKind) string {
	if k == policy.RefreshToken {
		return kindRefresh
	}
	return kindAccess
}

func unknown(k policy.TokenKind) policy.TokenReason {
	if k == policy.RefreshToken {
		return policy.UnknownRefreshToken
	}
	return policy.UnknownToken
}

// DeleteToken implements policy.TokenKeeper. A JWT is good by itself, so what
// stays of it is that it was revoked.
func (s *Service) DeleteToken(ctx context.Context, text string) error {
	key := s.tokenKey(idOf(text).String())
	err := s.r.Update(ctx, s.org, func(tx *registry.Tx) error {
		r, err := s.read(tx, key)
		if err != nil {
			return err
		}
		if r.record == nil || r.Kind != kindAccess {
			return refused(policy.UnknownToken)
		}
		if _, err := tx.Stamp(); err != nil {
			return err
		}
		tx.Revoke()
		if !r.JWT {
			return tx.Delete(key)
		}
		r.Status, r.Reason = entity.Revoked, "DELETED"
		return s.put(tx, r)
	})
	if err != nil {
		return unavailable(err)
	}
	s.Drop()
	return nil
}

// mark is the document that says which tokens of an app, of an end user, or of an
// end user of an app are revoked: those last approved before a time. One write
// revokes any number of tokens at once. Times are in milliseconds; 0 is none.
type mark struct {
	Access  int64 `json:"access,omitempty"`
	Refresh int64 `json:"refresh,omitempty"`
}

func (m mark) revokes(r *record) bool {
	if r.Kind == kindRefresh {
		return r.Approved < m.Refresh
	}
	return r.Approved < m.Access
}

// markKey names the mark of an app, of an end user (its id's hash), or of both.
func (s *Service) markKey(app, enduser string) store.Key {
	return entity.Key("tokenRevocations", s.org, or(app, "-"), or(enduser, "-"))
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// marks are the marks that concern a token.
func (s *Service) marks(r *record) []store.Key {
	keys := []store.Key{s.markKey(r.App, "")}
	if r.EndUser != "" {
		keys = append(keys, s.markKey("", r.EndUser), s.markKey(r.App, r.EndUser))
	}
	return keys
}

// revokedIn reports whether a mark revokes the token.
func (s *Service) revokedIn(tx store.Tx, r *record) (bool, error) {
	revoked := false
	for _, key := range s.marks(r) {
		doc, err := tx.Get(key)
		if store.IsNotFound(err) {
			continue
		}
		if err != nil {
			return false, err
		}
		var m mark
		if err := json.Unmarshal(doc.Data, &m); err != nil {
			return false, err
		}
		revoked = revoked || m.revokes(r)
	}
	return revoked, nil
}

// revoked is revokedIn without a transaction.
func (s *Service) revoked(ctx context.Context, r *record) (bool, error) {
	docs, err := s.store.GetAll(ctx, s.marks(r))
	if err != nil {
		return false, err
	}
	for _, d := range docs {
		var m mark
		if !d.Found() {
			continue
		}
		if err := json.Unmarshal(d.Data, &m); err != nil {
			return false, err
		}
		if m.revokes(r) {
			return true, nil
		}
	}
	return false, nil
}

// Revoke implements policy.TokenKeeper. Tokens issued later are not concerned,
// whatever Before says.
func (s *Service) Revoke(ctx context.Context, rv policy.Revocation) error {
	if rv.AppID == "" && rv.EndUser == "" {
		return errors.New("a revocation names an app, an end user, or both")
	}
	now := s.now()
	before := now.UnixMilli() + 1 // this millisecond's too
	if !rv.Before.IsZero() && rv.Before.Before(now) {
		before = rv.Before.UnixMilli()
	}
	enduser := ""
	if rv.EndUser != "" {
		enduser = idOf(rv.EndUser).String()
	}
	key := s.markKey(rv.AppID, enduser)
	err := s.r.Update(ctx, s.org, func(tx *registry.Tx) error {
		var m mark
		doc, err := tx.Get(key)
		if err != nil && !store.IsNotFound(err) {
			return err
		}
		if err == nil {
			if err := json.Unmarshal(doc.Data, &m); err != nil {
				return err
			}
		}
		if _, err := tx.Stamp(); err != nil {
			return err
		}
		tx.Revoke()
		m.Access = max(m.Access, before)
		if rv.Cascade {
			m.Refresh = max(m.Refresh, before)
		}
		data, err := json.Marshal(m)
		if err != nil {
			return err
		}
		return tx.Put(store.Doc{Key: key, Fields: map[string]string{"org": s.org}, Data: data})
	})
	if err != nil {
		return unavailable(err)
	}
	s.Drop()
	return nil
}

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/store"
)

// Job finishes a cascading change: it removes what is beneath target. It may be
// called again for the same target, after it failed or the process died.
type Job func(ctx context.Context, org, target string, data []byte) error

const (
	// jobTime bounds one run of a job; what is left is done by the next.
	jobTime = 45 * time.Second
	// jobLease is how long a job belongs to who recorded or resumed it. It is
	// longer than jobTime, so that two never run at once: the second would
	// remove what has been made under the same name since.
	jobLease = time.Minute
)

// job is the document of a job.
type job struct {
	Kind   string `json:"kind"`
	Target string `json:"target"`
	Data   []byte `json:"data,omitempty"`
	// Until is when its lease ends, in milliseconds since 1970.
	Until int64 `json:"until"`
}

// RegisterJob says how jobs of a kind are finished. It must be called before the
// registry is used.
func (r *Registry) RegisterJob(kind string, j Job) { r.jobs[kind] = j }

func jobKey(org, kind, target string) store.Key { return entity.Key("jobs", org, kind, target) }

// AddJob records a job in the transaction that makes it necessary. After the
// commit call Registry.RunJob.
func (tx *Tx) AddJob(kind, target string, data []byte) error {
	d, err := jobDoc(tx.Organization, job{Kind: kind, Target: target, Data: data, Until: entity.Millis(tx.Now.Add(jobLease))})
	if err != nil {
		return err
	}
	return tx.Put(d)
}

// EndJob removes a job whose work the transaction does.
func (tx *Tx) EndJob(kind, target string) error {
	return tx.Delete(jobKey(tx.Organization, kind, target))
}

func jobDoc(org string, j job) (store.Doc, error) {
	return encode(jobKey(org, j.Kind, j.Target), map[string]string{"org": org, "kind": j.Kind, "target": cut(j.Target)}, j)
}

// cut makes a value that can be a field.
func cut(s string) string {
	if len(s) <= 1000 {
		return s
	}
	return strings.ToValidUTF8(s[:1000], "")
}

// RunJob runs a job that has been recorded and removes its record.
func (r *Registry) RunJob(ctx context.Context, org, kind, target string) error {
	d, err := r.store.Get(ctx, jobKey(org, kind, target))
	if store.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.run(ctx, org, d)
}

func (r *Registry) run(ctx context.Context, org string, d store.Doc) error {
	j, err := Decode[job](d)
	if err != nil {
		return err
	}
	do := r.jobs[j.Kind]
	if do == nil {
		return fmt.Errorf("unfinished job of unknown kind %q", j.Kind)
	}
	ctx, cancel := context.WithTimeout(ctx, jobTime)
	defer cancel()
	if err := do(ctx, org, j.Target, j.Data); err != nil {
		return fmt.Errorf("finish %s of %s: %w", j.Kind, j.Target, err)
	}
	return r.store.Delete(ctx, d.Key)
}

// NoJob is an error of code Aborted while a job of the target is not finished:
// what is created in the transaction would be taken for what is to be removed.
func (tx *Tx) NoJob(kind, target string) error {
	_, err := tx.Get(jobKey(tx.Organization, kind, target))
	if store.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return entity.Errorf(entity.Aborted, "%s is still being deleted, try again later", target)
}

// TryJob runs a job whose failure is no failure of the change: its record stays
// and FinishJobs runs it again. It outlives the caller's cancellation.
func (r *Registry) TryJob(ctx context.Context, org, kind, target string) {
	_ = r.RunJob(context.WithoutCancel(ctx), org, kind, target)
}

// FinishBefore finishes the removal of a namesake before something is created.
func (r *Registry) FinishBefore(ctx context.Context, org, kind, target string) error {
	taken, err := r.take(ctx, jobKey(org, kind, target))
	if err != nil || !taken.Found() {
		return err
	}
	return r.run(ctx, org, taken)
}

// take makes a job's lease ours. It is an error of code Aborted while the lease
// is another's; without a job the document is a zero one.
func (r *Registry) take(ctx context.Context, key store.Key) (store.Doc, error) {
	var taken store.Doc
	err := r.store.Update(ctx, func(tx store.Tx) error {
		taken = store.Doc{}
		d, err := tx.Get(key)
		if store.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		j, err := Decode[job](d)
		if err != nil {
			return err
		}
		now := r.now()
		if entity.Millis(now) < j.Until {
			return entity.Errorf(entity.Aborted, "%s is still being deleted, try again later", j.Target)
		}
		j.Until = entity.Millis(now.Add(jobLease))
		if d.Data, err = json.Marshal(j); err != nil {
			return err
		}
		taken = d
		return tx.Put(d)
	})
	return taken, err
}

// FinishJobs finishes what a crash left unfinished in the organization. Jobs
// that another instance may be at, because they began less than a minute ago,
// are left alone unless alone says that there is no other instance: a store in
// a local file.
func (r *Registry) FinishJobs(ctx context.Context, org string, alone bool) error {
	docs, err := store.Collect(r.store.Query(ctx, store.Query{Collection: "jobs", Where: map[string]string{"org": org}}))
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range docs {
		if !alone {
			if d, err = r.take(ctx, d.Key); err != nil || !d.Found() {
				if entity.CodeOf(err) != entity.Aborted {
					errs = append(errs, err)
				}
				continue
			}
		}
		errs = append(errs, r.run(ctx, org, d))
	}
	return errors.Join(errs...)
}

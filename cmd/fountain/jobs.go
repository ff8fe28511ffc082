package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
)

var jobHead = []string{"ID", "STATE", "ITEMS", "SUCCEEDED", "FAILED", "CREATED", "ENDED", "FAILURE"}

func jobRow(j search.Job) []string {
	ended, failure := "", ""
	if j.EndedAt != nil {
		ended = when(*j.EndedAt)
	}
	if j.Failure != nil {
		failure = j.Failure.Message
	}
	return []string{j.ID, string(j.State), strconv.FormatInt(j.Items, 10), strconv.FormatInt(j.Succeeded, 10), strconv.FormatInt(j.Failed, 10), when(j.CreatedAt), ended, failure}
}

// newJobs makes the commands for document changes that run in the background.
func newJobs() *cobra.Command {
	o := &operator{}
	list := o.command("list COLLECTION", "List the jobs of a collection, newest first", "  fountain jobs list plays\n  fountain jobs list plays --output json", oneArg("a collection"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			all := []search.Job{}
			var rows [][]string
			for j, err := range c.Search.Jobs(cmd.Context(), args[0]) {
				if err != nil {
					return err
				}
				all, rows = append(all, j), append(rows, jobRow(j))
			}
			return o.print(cmd, all, jobHead, rows)
		})
	return group("jobs", "Manage background jobs that change documents in the search service", list, o.showJob(), o.cancelJob(), jobFailures(o))
}

func (o *operator) showJob() *cobra.Command {
	var follow bool
	cmd := o.command("show COLLECTION JOB", "Show the state of a job", "  fountain jobs show plays job_01KBB6Q3Y5W1V9T2ZD0G7M4N8P\n  fountain jobs show plays job_01KBB6Q3Y5W1V9T2ZD0G7M4N8P --follow", collectionAndJob,
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if follow {
				return o.followJob(cmd, c, args[0], args[1])
			}
			j, err := c.Search.GetJob(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return o.print(cmd, j, jobHead, [][]string{jobRow(*j)})
		})
	cmd.Flags().BoolVar(&follow, "follow", false, "wait until the job has ended; exit with an error if items failed")
	return cmd
}

// followJob shows the progress of a job until its end. A job with failures or a cancelled job is an error.
func (o *operator) followJob(cmd *cobra.Command, c *fountain.Client, collection, id string) error {
	bar := terminal.NewBar(os.Stderr, collection)
	j, err := c.Search.AwaitJob(cmd.Context(), collection, id, func(j *search.Job) {
		bar.Show("items, "+string(j.State), int(j.Succeeded+j.Failed), max(int(j.Items), 1))
	})
	bar.Done()
	if err != nil {
		return err
	}
	if err := o.print(cmd, j, jobHead, [][]string{jobRow(*j)}); err != nil {
		return err
	}
	switch {
	case j.Failure != nil:
		return fmt.Errorf("job %s: %s", id, j.Failure.Message)
	case j.State == search.JobStateCancelled:
		return fmt.Errorf("job %s was cancelled", id)
	case j.Failed > 0:
		return fmt.Errorf("%d %s failed: fountain jobs failures %s %s lists the reasons", j.Failed, plural(int(j.Failed), "item"), collection, id)
	}
	return nil
}

func (o *operator) cancelJob() *cobra.Command {
	return o.command("cancel COLLECTION JOB", "Cancel a job; changes that it has completed are kept", "  fountain jobs cancel plays job_01KBB6Q3Y5W1V9T2ZD0G7M4N8P\n  fountain jobs cancel globe.plays job_01KBB6Q3Y5W1V9T2ZD0G7M4N8P --output json", collectionAndJob,
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			j, err := c.Search.CancelJob(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return o.print(cmd, j, jobHead, [][]string{jobRow(*j)})
		})
}

func jobFailures(o *operator) *cobra.Command {
	return o.command("failures COLLECTION JOB", "Print the failed items of a job as NDJSON", "  fountain jobs failures plays job_01KBB6Q3Y5W1V9T2ZD0G7M4N8P >failures.ndjson\n  fountain jobs failures globe.plays job_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", collectionAndJob,
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			out := json.NewEncoder(cmd.OutOrStdout())
			for f, err := range c.Search.JobFailures(cmd.Context(), args[0], args[1]) {
				if err != nil {
					return err
				}
				if err := out.Encode(f); err != nil {
					return fmt.Errorf("write failures: %w", err)
				}
			}
			return nil
		})
}

func collectionAndJob(cmd *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usagef("%s takes two arguments, a collection and the id of a job", cmd.CommandPath())
	}
	return nil
}

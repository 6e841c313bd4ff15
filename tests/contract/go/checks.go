// The parts of a check of the scenario: its name, its expectations, and a line with its result.

package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Check is a step of the scenario. It panics when something differs.
type Check struct {
	Name string
	Run  func(*Scenario)
}

// RunAll runs every check in order, prints each result, and returns whether all passed.
func RunAll(checks []Check, scenario *Scenario) bool {
	well := true
	for _, check := range checks {
		if why := failure(check, scenario); why != "" {
			well = false
			fmt.Printf("FAILED %s: %s\n", check.Name, strings.ReplaceAll(why, "\n", " "))
		} else {
			fmt.Printf("ok %s\n", check.Name)
		}
	}
	return well
}

func failure(check Check, scenario *Scenario) (why string) {
	defer func() {
		if found := recover(); found != nil {
			why = fmt.Sprint(found)
		}
	}()
	check.Run(scenario)
	return ""
}

// Done returns the result of a request that must succeed.
func Done[T any](result T, err error) T {
	DoneWithout(err)
	return result
}

// DoneWithout is Done for a request that has no result.
func DoneWithout(err error) {
	if err != nil {
		panic(err)
	}
}

// Expect compares a value with the wanted one.
func Expect[T any](found, wanted T) {
	if !reflect.DeepEqual(found, wanted) {
		panic(fmt.Sprintf("wanted %+v, found %+v", wanted, found))
	}
}

// ExpectTrue fails with the name of a condition that does not hold.
func ExpectTrue(holds bool, what any) {
	if !holds {
		panic(what)
	}
}

// ExpectRefusal requires this refusal, with a sentence beside the code.
func ExpectRefusal(status int, code string, err error) *ApiError {
	var refusal *ApiError
	if !errors.As(err, &refusal) {
		panic(fmt.Sprintf("wanted %d %s, found %v", status, code, err))
	}
	if refusal.Status != status || refusal.Code != code {
		panic(fmt.Sprintf("wanted %d %s, found %v", status, code, refusal))
	}
	ExpectTrue(len(refusal.Message) > 10, "no sentence: "+refusal.Message)
	return refusal
}

// ExpectRefused is ExpectRefusal for a request that was sent unchanged.
func ExpectRefused(status int, code string, response Response, err error) *ApiError {
	DoneWithout(err)
	return ExpectRefusal(status, code, response.Refusal())
}

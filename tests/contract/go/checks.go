// What one check of the scenario needs: a name, what it expects, and a line that says how it went.

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

// RunAll runs every check in order, and says of each how it went; whether all did well.
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

// Done is the result of a request that must succeed.
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

// Expect compares a value with the one that is wanted.
func Expect[T any](found, wanted T) {
	if !reflect.DeepEqual(found, wanted) {
		panic(fmt.Sprintf("wanted %+v, found %+v", wanted, found))
	}
}

// ExpectTrue names what does not hold.
func ExpectTrue(holds bool, what any) {
	if !holds {
		panic(what)
	}
}

// ExpectRefusal wants the request refused like that, with a sentence beside the code.
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

// ExpectRefused is ExpectRefusal for what was sent as it is.
func ExpectRefused(status int, code string, response Response, err error) *ApiError {
	DoneWithout(err)
	return ExpectRefusal(status, code, response.Refusal())
}

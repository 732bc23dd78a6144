package policy

import (
	"errors"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// A run is stopped between two steps, not within one. These are the limits of builtins that could otherwise take, in one
// step, whatever time or memory there is: a shift by a claim, a text put in the place of each letter of another.
const (
	maxDigits = 4096     // of a number, its exponent written out; and the bits of a shift
	maxText   = 16 << 20 // bytes of what is made out of texts
	maxItems  = 1 << 20  // of a list that is made out of lists
	maxIndent = 64       // bytes
)

var errUnbounded = errors.New("operands are too large")

// boundBuiltins puts the limits in force for every policy of this process, before the first of them runs.
var boundBuiltins = sync.OnceFunc(func() {
	bound := func(within func(operands []*ast.Term) bool, names ...string) {
		for _, name := range names {
			run := topdown.GetBuiltin(name)
			topdown.RegisterBuiltinFunc(name, func(c topdown.BuiltinContext, operands []*ast.Term, yield func(*ast.Term) error) error {
				if !within(operands) {
					return errUnbounded
				}
				return run(c, operands, yield)
			})
		}
	}
	bound(numbersWithin, ast.Plus.Name, ast.Minus.Name, ast.Multiply.Name, ast.Divide.Name, ast.Rem.Name, ast.Abs.Name, ast.Ceil.Name,
		ast.Floor.Name, ast.Round.Name, ast.Product.Name, ast.Sum.Name, ast.FormatInt.Name, ast.NumbersRange.Name, ast.NumbersRangeStep.Name,
		ast.BitsAnd.Name, ast.BitsOr.Name, ast.BitsXOr.Name, ast.BitsNegate.Name, ast.BitsShiftRight.Name)
	bound(shiftWithin, ast.BitsShiftLeft.Name)
	bound(textsWithin, ast.Replace.Name, ast.RegexReplace.Name, ast.RegexMatch.Name, ast.RegexFind.Name, ast.RegexSplit.Name,
		ast.RegexFindAllStringSubmatch.Name, ast.GlobMatch.Name)
	bound(replacementsWithin, ast.ReplaceN.Name)
	bound(concatWithin, ast.Concat.Name)
	bound(formatWithin, ast.Sprintf.Name)
	bound(listsWithin, ast.ArrayConcat.Name)
	bound(indentWithin, ast.JSONMarshalWithOptions.Name)
})

// numbersWithin holds if no number, also in a list, has too many digits.
func numbersWithin(operands []*ast.Term) bool {
	beyond := func(e *ast.Term) bool {
		n, ok := e.Value.(ast.Number)
		return ok && !digitsWithin(string(n))
	}
	for _, o := range operands {
		switch v := o.Value.(type) {
		case ast.Number:
			if beyond(o) {
				return false
			}
		case *ast.Array:
			if v.Until(beyond) {
				return false
			}
		case ast.Set:
			if v.Until(beyond) {
				return false
			}
		}
	}
	return true
}

// digitsWithin holds if a number written out has no more than maxDigits.
func digitsWithin(number string) bool {
	if len(number) > maxDigits {
		return false
	}
	i := strings.LastIndexAny(number, "eE")
	if i < 0 {
		return true
	}
	exponent := strings.TrimLeft(number[i+1:], "+-0")
	return len(exponent) < 4 || len(exponent) == 4 && exponent <= "4096"
}

func shiftWithin(operands []*ast.Term) bool {
	by, ok := operands[1].Value.(ast.Number)
	n, small := by.Int()
	return numbersWithin(operands) && (!ok || small && n <= maxDigits)
}

// textsWithin holds if the longest text, taken once for each letter of the next longest, is not too large.
func textsWithin(operands []*ast.Term) bool {
	longest, next := 0, 0
	for _, o := range operands {
		if s, ok := o.Value.(ast.String); ok {
			if n := len(s); n > longest {
				longest, next = n, longest
			} else {
				next = max(next, n)
			}
		}
	}
	return (longest+1)*(next+1) <= maxText
}

func replacementsWithin(operands []*ast.Term) bool {
	longest := 0
	if patterns, ok := operands[0].Value.(ast.Object); ok {
		patterns.Foreach(func(_, to *ast.Term) {
			if s, ok := to.Value.(ast.String); ok {
				longest = max(longest, len(s))
			}
		})
	}
	s, _ := operands[1].Value.(ast.String)
	return (len(s)+1)*(longest+1) <= maxText
}

func concatWithin(operands []*ast.Term) bool {
	delimiter, _ := operands[0].Value.(ast.String)
	size := 0
	grow := func(e *ast.Term) bool {
		s, _ := e.Value.(ast.String)
		size += len(s) + len(delimiter)
		return size > maxText
	}
	switch all := operands[1].Value.(type) {
	case *ast.Array:
		return !all.Until(grow)
	case ast.Set:
		return !all.Until(grow)
	}
	return true
}

// formatWithin holds if no argument is written too often or too wide.
func formatWithin(operands []*ast.Term) bool {
	format, _ := operands[0].Value.(ast.String)
	longest := 64
	if args, ok := operands[1].Value.(*ast.Array); ok {
		args.Foreach(func(e *ast.Term) {
			if s, ok := e.Value.(ast.String); ok {
				longest = max(longest, len(s))
			}
		})
	}
	return !wide(string(format)) && strings.Count(string(format), "%")*longest <= maxText && numbersWithin(operands[1:])
}

// wide reports whether a verb of a format has a width of more than four digits, or one that is an argument.
func wide(format string) bool {
	verb, digits := false, 0
	for _, b := range []byte(format) {
		switch {
		case b == '%':
			verb, digits = !verb, 0
		case verb && b >= '0' && b <= '9':
			if digits++; digits > 4 {
				return true
			}
		case verb && b == '*':
			return true
		case verb && b >= 'A':
			verb = false
		default:
			digits = 0
		}
	}
	return false
}

func listsWithin(operands []*ast.Term) bool {
	n := 0
	for _, o := range operands {
		if list, ok := o.Value.(*ast.Array); ok {
			n += list.Len()
		}
	}
	return n <= maxItems
}

func indentWithin(operands []*ast.Term) bool {
	within := true
	if options, ok := operands[1].Value.(ast.Object); ok {
		options.Foreach(func(_, value *ast.Term) {
			s, _ := value.Value.(ast.String)
			within = within && len(s) <= maxIndent
		})
	}
	return within
}

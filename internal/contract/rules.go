package contract

// Rule names a rejection that kin-openapi does not make. It is the keyword of the violation, and every rule has a test.
type Rule string

// The rules. Those of the path answer 400 or 404, those of query, header and cookie 400, those of the body's syntax 400 and of its content 422, those
// of media 415 (reference: the study of the gateway, section 3.1).
const (
	RulePathEscape    Rule = "pathEscape"    // a broken percent escape
	RulePathUTF8      Rule = "pathUtf8"      // a path that is not UTF-8 once decoded
	RulePathControl   Rule = "pathControl"   // NUL and other control characters
	RulePathCharacter Rule = "pathCharacter" // a byte that RFC 3986 wants escaped

	RuleQueryEscape    Rule = "queryEscape"    // a broken percent escape
	RuleQueryUTF8      Rule = "queryUtf8"      // not UTF-8 once decoded
	RuleQueryControl   Rule = "queryControl"   // NUL
	RuleQuerySemicolon Rule = "querySemicolon" // ";" as a separator, which programs read differently
	RuleQueryEmpty     Rule = "queryEmpty"     // "&&" or a pair without a name
	RuleQueryBrackets  Rule = "queryBrackets"  // name[a]=1 with brackets that are not well formed; for documents of others
	RuleUndeclared     Rule = "undeclared"     // a query parameter, a form field, or an answer's property, header or cookie that the contract does not know
	RuleRepeated       Rule = "repeated"       // a scalar parameter sent twice
	RuleHeaderText     Rule = "headerText"     // a header parameter with bytes that are not printable UTF-8
	RuleNumberForm     Rule = "numberForm"     // "+5", "05", "0x5", "5." and the like
	RuleUnexpectedBody Rule = "unexpectedBody" // a body, also a chunked one, where none is declared
	RuleBodyRequired   Rule = "bodyRequired"   // no body where one is required

	RuleJSONSyntax       Rule = "jsonSyntax"       // not JSON
	RuleJSONTrailing     Rule = "jsonTrailing"     // text after the value
	RuleJSONDuplicateKey Rule = "jsonDuplicateKey" // the same key twice in one object
	RuleJSONUTF8         Rule = "jsonUtf8"         // invalid UTF-8, a byte order mark, or half a surrogate pair
	RuleJSONDepth        Rule = "jsonDepth"        // nested deeper than MaxDepth
	RuleJSONNumber       Rule = "jsonNumber"       // a number of absurd length or size
	RuleJSONNUL          Rule = "jsonNul"          // the character U+0000
	RuleTextUTF8         Rule = "textUtf8"         // a text body that is not UTF-8
	RuleFormSyntax       Rule = "formSyntax"       // a form body that cannot be decoded
	RuleMultipart        Rule = "multipart"        // a multipart body that cannot be read; for documents of others
	RuleCaseVariant      Rule = "caseVariant"      // a key that differs from a declared one in case only
	RuleIntegerExact     Rule = "integerExact"     // an integer not written as digits, or out of its format's range
	RuleFormat           Rule = "format"           // the closed list of formats
	RuleWork             Rule = "work"             // a value that would take too many steps to check; for documents of others
	RuleCharset          Rule = "charset"          // a charset other than utf-8
	RuleMediaParameter   Rule = "mediaParameter"   // an undeclared parameter of a media type
	RuleContentEncoding  Rule = "contentEncoding"  // a content coding

	RuleResponseStatus Rule = "responseStatus" // a status the contract does not declare
	RuleResponseBody   Rule = "responseBody"   // a body where none is declared, or none where one is
	RuleResponseMedia  Rule = "responseMedia"  // a media type the contract does not declare
	RuleResponseHeader Rule = "responseHeader" // a required header is missing or wrong
	RuleResponseError  Rule = "responseError"  // a 5xx that is no problem document
)

// Package policies is the list of policies that perigee runs. What is in the
// program is what is in the list.
package policies

import (
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/policies/accesscontrol"
	"github.com/perigee-gateway/perigee/shared/policies/accessentity"
	"github.com/perigee-gateway/perigee/shared/policies/assertcondition"
	"github.com/perigee-gateway/perigee/shared/policies/assignmessage"
	"github.com/perigee-gateway/perigee/shared/policies/basicauthentication"
	"github.com/perigee-gateway/perigee/shared/policies/concurrentratelimit"
	"github.com/perigee-gateway/perigee/shared/policies/cors"
	"github.com/perigee-gateway/perigee/shared/policies/datacapture"
	"github.com/perigee-gateway/perigee/shared/policies/decodejws"
	"github.com/perigee-gateway/perigee/shared/policies/decodejwt"
	"github.com/perigee-gateway/perigee/shared/policies/deleteoauthv2info"
	"github.com/perigee-gateway/perigee/shared/policies/externalcallout"
	"github.com/perigee-gateway/perigee/shared/policies/extractvariables"
	"github.com/perigee-gateway/perigee/shared/policies/flowcallout"
	"github.com/perigee-gateway/perigee/shared/policies/generatejws"
	"github.com/perigee-gateway/perigee/shared/policies/generatejwt"
	"github.com/perigee-gateway/perigee/shared/policies/generatesamlassertion"
	"github.com/perigee-gateway/perigee/shared/policies/getoauthv2info"
	"github.com/perigee-gateway/perigee/shared/policies/graphql"
	"github.com/perigee-gateway/perigee/shared/policies/hmac"
	"github.com/perigee-gateway/perigee/shared/policies/httpmodifier"
	"github.com/perigee-gateway/perigee/shared/policies/integrationcallout"
	"github.com/perigee-gateway/perigee/shared/policies/invalidatecache"
	"github.com/perigee-gateway/perigee/shared/policies/javascript"
	"github.com/perigee-gateway/perigee/shared/policies/jsonthreatprotection"
	"github.com/perigee-gateway/perigee/shared/policies/jsontoxml"
	"github.com/perigee-gateway/perigee/shared/policies/keyvaluemapoperations"
	"github.com/perigee-gateway/perigee/shared/policies/llmtokenquota"
	"github.com/perigee-gateway/perigee/shared/policies/lookupcache"
	"github.com/perigee-gateway/perigee/shared/policies/messagelogging"
	"github.com/perigee-gateway/perigee/shared/policies/messagevalidation"
	"github.com/perigee-gateway/perigee/shared/policies/monetizationlimitscheck"
	"github.com/perigee-gateway/perigee/shared/policies/oasvalidation"
	"github.com/perigee-gateway/perigee/shared/policies/oauthv2"
	"github.com/perigee-gateway/perigee/shared/policies/parsedialogflowrequest"
	"github.com/perigee-gateway/perigee/shared/policies/parsepayload"
	"github.com/perigee-gateway/perigee/shared/policies/populatecache"
	"github.com/perigee-gateway/perigee/shared/policies/prompttokenlimit"
	"github.com/perigee-gateway/perigee/shared/policies/publishmessage"
	"github.com/perigee-gateway/perigee/shared/policies/quota"
	"github.com/perigee-gateway/perigee/shared/policies/raisefault"
	"github.com/perigee-gateway/perigee/shared/policies/readpropertyset"
	"github.com/perigee-gateway/perigee/shared/policies/regularexpressionprotection"
	"github.com/perigee-gateway/perigee/shared/policies/resetquota"
	"github.com/perigee-gateway/perigee/shared/policies/responsecache"
	"github.com/perigee-gateway/perigee/shared/policies/revokeoauthv2"
	"github.com/perigee-gateway/perigee/shared/policies/sanitizemodelresponse"
	"github.com/perigee-gateway/perigee/shared/policies/sanitizeuserprompt"
	"github.com/perigee-gateway/perigee/shared/policies/semanticcachelookup"
	"github.com/perigee-gateway/perigee/shared/policies/semanticcachepopulate"
	"github.com/perigee-gateway/perigee/shared/policies/servicecallout"
	"github.com/perigee-gateway/perigee/shared/policies/setdialogflowresponse"
	"github.com/perigee-gateway/perigee/shared/policies/setintegrationrequest"
	"github.com/perigee-gateway/perigee/shared/policies/setoauthv2info"
	"github.com/perigee-gateway/perigee/shared/policies/spikearrest"
	"github.com/perigee-gateway/perigee/shared/policies/statisticscollector"
	"github.com/perigee-gateway/perigee/shared/policies/tracecapture"
	"github.com/perigee-gateway/perigee/shared/policies/validatesamlassertion"
	"github.com/perigee-gateway/perigee/shared/policies/verifyapikey"
	"github.com/perigee-gateway/perigee/shared/policies/verifyjws"
	"github.com/perigee-gateway/perigee/shared/policies/verifyjwt"
	"github.com/perigee-gateway/perigee/shared/policies/xmlthreatprotection"
	"github.com/perigee-gateway/perigee/shared/policies/xmltojson"
	"github.com/perigee-gateway/perigee/shared/policies/xsl"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// All is every kind of policy, in the order of their names.
var All = []policy.Kind{
	accesscontrol.Kind,
	accessentity.Kind,
	assertcondition.Kind,
	assignmessage.Kind,
	basicauthentication.Kind,
	concurrentratelimit.Kind,
	concurrentratelimit.OtherKind,
	cors.Kind,
	datacapture.Kind,
	decodejws.Kind,
	decodejwt.Kind,
	deleteoauthv2info.Kind,
	externalcallout.Kind,
	extractvariables.Kind,
	flowcallout.Kind,
	generatejws.Kind,
	generatejwt.Kind,
	generatesamlassertion.Kind,
	getoauthv2info.Kind,
	graphql.Kind,
	hmac.Kind,
	httpmodifier.Kind,
	integrationcallout.Kind,
	invalidatecache.Kind,
	javascript.Kind,
	jsonthreatprotection.Kind,
	jsontoxml.Kind,
	keyvaluemapoperations.Kind,
	llmtokenquota.Kind,
	lookupcache.Kind,
	messagelogging.Kind,
	messagevalidation.Kind,
	monetizationlimitscheck.Kind,
	oasvalidation.Kind,
	oauthv2.Kind,
	parsedialogflowrequest.Kind,
	parsepayload.Kind,
	populatecache.Kind,
	prompttokenlimit.Kind,
	publishmessage.Kind,
	quota.Kind,
	raisefault.Kind,
	readpropertyset.Kind,
	regularexpressionprotection.Kind,
	resetquota.Kind,
	responsecache.Kind,
	revokeoauthv2.Kind,
	sanitizemodelresponse.Kind,
	sanitizeuserprompt.Kind,
	semanticcachelookup.Kind,
	semanticcachepopulate.Kind,
	servicecallout.Kind,
	setdialogflowresponse.Kind,
	setintegrationrequest.Kind,
	setoauthv2info.Kind,
	spikearrest.Kind,
	statisticscollector.Kind,
	tracecapture.Kind,
	validatesamlassertion.Kind,
	verifyapikey.Kind,
	verifyjws.Kind,
	verifyjwt.Kind,
	xmlthreatprotection.Kind,
	xmltojson.Kind,
	xsl.Kind,
}

// Refused is every policy of Apigee that perigee knows and does not run, or only
// where the host has a Java virtual machine. A bundle that holds one is refused with
// the reason, never deployed without it, unless the policy never runs.
var Refused = []policy.Kind{
	policy.Refuse("ConnectorCallout", noExtensions),
	policy.Refuse("DeleteOAuthV1Info", noOAuthV1),
	policy.Refuse("Extension", noExtensions),
	policy.Refuse("GetOAuthV1Info", noOAuthV1),
	policy.OnJVM("JavaCallout", javaClass),
	policy.Refuse("Ldap", "Apigee X does not have this policy of Edge for Private Cloud; put a service before the directory and use ServiceCallout"),
	policy.Refuse("OAuthV1", noOAuthV1),
	policy.OnJVM("Script", resource),
	policy.Refuse("VerifyIAM", "it asks Google IAM about a deployment of Apigee, which this is not; use VerifyJWT with Google's keys, or Cloud Run's own check of invokers"),
}

const noExtensions = "extensions do not exist in Apigee X; use ServiceCallout, or IntegrationCallout for a connector"

const noOAuthV1 = "OAuth 1.0a does not exist in Apigee X; use OAuthV2"

// javaClass names the class of a JavaCallout and the archive it is in.
func javaClass(root *bundle.Element) string {
	class := "without a <ClassName>"
	if el := root.Child("ClassName"); el != nil && el.TrimText() != "" {
		class = el.TrimText()
	}
	return class + " of " + resource(root)
}

// resource names the resource of a policy.
func resource(root *bundle.Element) string {
	if el := root.Child("ResourceURL"); el != nil && el.TrimText() != "" {
		return el.TrimText()
	}
	return "without a <ResourceURL>"
}

// Kinds is all of them by root element, those that are refused included.
func Kinds() policy.Kinds {
	return policy.NewKinds(append(Refused[:len(Refused):len(Refused)], All...)...)
}

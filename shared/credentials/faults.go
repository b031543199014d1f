package credentials

import "github.com/perigee-gateway/perigee/shared/fault"

// The faults of VerifyAPIKey. Each call makes a new one, as the policy adds what
// is its own.
// Source: policies reference, "VerifyAPIKey". Where it has no text, that of
// captured answers is used.

func invalidKey() *fault.Fault {
	return fault.New("oauth.v2.InvalidApiKey", 401, "Invalid ApiKey")
}

func invalidForResource() *fault.Fault {
	return fault.New("oauth.v2.InvalidApiKeyForGivenResource", 401, "Invalid ApiKey for given resource")
}

func keyNotApproved() *fault.Fault {
	return fault.New("oauth.v2.ApiKeyNotApproved", 401, "ApiKey not approved")
}

func keyExpired() *fault.Fault {
	return fault.New("keymanagement.service.consumer_key_expired", 401, "Key Expired")
}

func appNotApproved() *fault.Fault {
	return fault.New("keymanagement.service.invalid_client-app_not_approved", 401, "App not Approved")
}

func developerInactive() *fault.Fault {
	return fault.New("keymanagement.service.DeveloperStatusNotActive", 401, "Developer Status is not Active")
}

// groupInactive is the fault of Edge's companies, whom app groups succeed.
func groupInactive() *fault.Fault {
	return fault.New("keymanagement.service.CompanyStatusNotActive", 401, "Company Status is not Active")
}

func noProduct() *fault.Fault {
	return fault.New("keymanagement.service.consumer_key_missing_api_product_association", 400, "Consumer key is missing an API product association")
}

// Unavailable is the fault for a store or keystore that cannot be asked: nobody
// is let in unverified.
func Unavailable(err error) *fault.Fault {
	return fault.New("datastore.ErrorWhileAccessingDataStore", 500, "Error while accessing datastore;Please retry later").WithCause(err)
}

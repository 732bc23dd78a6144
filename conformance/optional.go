package conformance

var (
	busPromises     = []promise{}
	cachePromises   = []promise{}
	limiterPromises = []promise{}
)

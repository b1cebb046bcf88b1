#include "tests/client/ray/api/twice.h"

namespace twice_test {

ray::ObjectRef<int> CallFromAnotherFile(int x) { return ray::Task(InBothFiles).Remote(x); }

}  // namespace twice_test

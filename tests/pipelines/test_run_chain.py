from threadpoolctl import threadpool_info, threadpool_limits

from spokestream.pipelines.run_chain import run_chain


class Silent:
    """A chain that passes everything on."""

    def feed(self, message, /):
        return [message]

    def finish(self):
        return []

    def cancel(self):
        pass

    def close(self):
        pass


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_blas_has_one_thread_until_the_last_of_several_chains_has_ended():
    with threadpool_limits(2, "blas"):
        assert blas_threads() == {2}
        first, second = (run_chain(Silent(), range(2)) for _ in range(2))
        for chain in (first, second):
            next(chain)
            assert blas_threads() == {1}
        first.close()
        assert blas_threads() == {1}
        assert list(second) == [1]
        assert blas_threads() == {2}

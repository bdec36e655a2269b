"""Einstein summation."""
import numpy as np
from cases_binary import BF16, numbers

TYPES = [np.float32, np.float64, np.float16, BF16, np.int32, np.int64, np.complex64, np.complex128]
ONE = [("ab->ba", (2, 3)), ("ab->a", (2, 3)), ("ab->", (2, 3)), ("aa->a", (3, 3)), ("aa->", (3, 3)), ("a->aa", (3,)), ("aba->ab", (2, 3, 2)),
       ("abc->cab", (2, 3, 4)), ("...a->...", (2, 3)), ("...ij->...ji", (2, 3, 4)), ("a...->...a", (2, 3, 4)), ("->", ()), ("...->...", (2,)), ("aab->baa", (2, 2, 3)),
       ("ab->ba", (0, 3)), ("ab->b", (0, 3)), ("...a->a...", (2,)), ("...ab->ab", (2, 3))]
TWO = [("ab,bc->ac", (2, 3), (3, 4)), ("ab,cb->ac", (2, 3), (4, 3)), ("abc,acd->abd", (2, 3, 4), (2, 4, 5)), ("a,b->ab", (2,), (3,)), ("a,a->", (3,), (3,)),
       ("ab,ab->ab", (2, 3), (2, 3)), ("abc,cde->abde", (2, 3, 4), (4, 2, 3)), ("aecd,abcd->acbe", (2, 3, 2, 4), (2, 5, 2, 4)),
       ("acbe,aecd->abcd", (2, 3, 4, 5), (2, 5, 3, 4)), ("...ab,...bc->...ac", (2, 2, 3), (2, 3, 4)), ("...ab,...bc->...ac", (5, 1, 2, 3), (4, 3, 2)),
       ("...ab,bc->...ac", (2, 2, 3), (3, 4)), ("ab,...b->...a", (2, 3), (4, 5, 3)), ("abb,bc->ca", (2, 3, 3), (3, 4)), ("ab,c->ca", (2, 3), (4,)),
       ("a,a->aa", (3,), (3,)), ("ab,bc->ca", (2, 3), (3, 4)), (",ab->ab", (), (2, 3)), ("ab,cd->", (2, 3), (3, 2)), ("abcd,cd->ab", (2, 3, 2, 2), (2, 2)),
       ("ab,bc->ac", (2, 0), (0, 3)), ("ab,bc->ac", (0, 2), (2, 3)), ("aB,Bc->ac", (2, 3), (3, 4)), ("...a,...a->...", (3, 1, 4), (2, 4)),
       ("bhwc,hkc->bhwk", (2, 3, 2, 4), (3, 5, 4)), ("abc,bd->acd", (2, 3, 4), (3, 2))]
WRONG = [("ab,bc->ac", (2, 3), (4, 4)), ("ab->a", (2, 3, 4)), ("ab", (2, 3)), ("ab,bc->ac", (2, 3)),
         ("...a,...a->...", (3, 4), (2, 4)), ("a.b->ab", (2, 3))]


def cases():
    rng = np.random.RandomState(11)
    for k, dtype in enumerate(TYPES):
        for equation, *shapes in (ONE + TWO if k in (0, 4) else ONE[:8] + TWO[:12]):
            yield "Einsum", {"equation": equation}, [numbers(rng, dtype, shape) for shape in shapes], {"tolerance": 5.0}
    for equation, *shapes in WRONG:
        yield "Einsum", {"equation": equation}, [numbers(rng, np.float32, shape) for shape in shapes]
